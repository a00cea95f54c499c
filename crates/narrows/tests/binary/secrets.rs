//! What is secret stays where it belongs: a caller's token and a call's arguments are looked for, as text, in
//! everything that the process says, writes and sends.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
};

use crate::running::{Place, Up, resources};

const ALICE: &str = "alice@example.com";
const ARGUMENT: &str = "canary-argument-7d1f";

#[test]
fn the_callers_token_and_arguments_go_no_further() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        // The whole of it, head and body, ends with the argument.
        while !request.ends_with(b"}}") {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the request was cut off");
            request.extend_from_slice(bytes.get(..read).unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let (_, id) = request.split_once(r#""id":"#).unwrap();
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","content":[],"isError":false}}}}"#
        );
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
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
