//! What is secret stays where it belongs: a caller's token and a call's arguments are looked for, as text, in
//! everything that the process says, writes and sends.

use std::path::Path;

use crate::{
    remote::{self, Remote},
    running::{Place, Up, resources},
};

const ALICE: &str = "alice@example.com";
const ARGUMENT: &str = "canary-argument-7d1f";

#[test]
fn the_callers_token_and_arguments_go_no_further() {
    let place = Place::new();
    let remote = Remote::start();
    let url = remote.url.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, request) = remote.call();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","content":[],"isError":false}}}}"#,
            remote::id(&request)
        );
        remote::answer(&mut stream, "200 OK", &body);
        request
    });
    place.write(
        "r.yaml",
        &(resources(&place, &[(ALICE, "look")])
            + &format!(
                "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\n\
                 metadata: {{ namespace: dev, name: remote }}\nspec: {{ transport: http, url: {url:?} }}\n"
            )),
    );
    let mut up = Up::start(&place, &["-f", "r.yaml", "--allow-upstream", "127.0.0.1/32"]);
    let token = place.token(ALICE);
    let answer = up.call("dev/remote", &token, "look", &format!(r#"{{"at":"{ARGUMENT}"}}"#));
    assert_eq!(answer.status, 200, "{answer:?}");
    let refused = up.call("dev/remote", &token, "other", &format!(r#"{{"at":"{ARGUMENT}"}}"#));
    assert_eq!(refused.status, 403, "{refused:?}");
    // Of a token that is not good either.
    let spoilt = format!("{token}x");
    assert_eq!(up.call("dev/remote", &spoilt, "look", "{}").status, 401);
    // And of a call that goes beyond a bound: it is counted, and the log says whose it was.
    assert_eq!(up.call_too_large("dev/remote", &token, ARGUMENT).status, 413);
    let line = up.wait_for("refused or cut off");
    assert!(
        line.contains(r#" WARN refused or cut off reason="body_too_large" count=1 ip="127.0.0.1" subject="alice@example.com""#),
        "{line}"
    );
    let metrics = up.admin("/metrics").body;
    assert!(metrics.contains("narrows_cut_total{reason=\"body_too_large\"} 1\n"), "{metrics}");
    let said = up.stop();
    let sent = server.join().unwrap();

    let signature = token.rsplit('.').next().unwrap();
    assert!(sent.contains(ARGUMENT), "the server gets the argument");
    assert!(!sent.to_ascii_lowercase().contains("authorization"), "{sent}");
    for (place, text) in [("server", sent), ("standard error", said.clone()), ("metrics", metrics.clone())] {
        assert!(!text.contains(signature), "the token is on {place}");
    }
    assert!(
        !said.contains(ARGUMENT) && !metrics.contains(ARGUMENT),
        "the argument is on standard error or in metrics"
    );
    let mut files = 0;
    each_file(&place.data(), &mut |path, bytes| {
        files += 1;
        for secret in [signature, ARGUMENT] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(
                !found,
                "{} is in {}",
                if secret == ARGUMENT { "the argument" } else { "the token" },
                path.display()
            );
        }
    });
    assert!(files > 5, "only {files} files were looked at");
}

fn each_file(directory: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, look);
        } else if path.is_file() {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}
