//! The listener's certificate: in use, replaced while running, and kept when what replaces it is wrong.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use rcgen::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName},
};

use crate::running::{Place, Up, eventually};

fn made() -> CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

fn install(place: &Place, made: &CertifiedKey<rcgen::KeyPair>) {
    private(&place.path("tls.key"), &made.signing_key.serialize_pem());
    place.write("tls.crt", &made.cert.pem());
}

fn private(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Asks for a document over TLS; the certificate that was shown, and the answer.
fn ask(up: &Up, trusted: &[&CertifiedKey<rcgen::KeyPair>]) -> (CertificateDer<'static>, String) {
    let mut roots = RootCertStore::empty();
    for root in trusted {
        roots.add(root.cert.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(up.agents).unwrap());
    let path = "/.well-known/oauth-protected-resource/mcp/dev/files";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (stream.conn.peer_certificates().unwrap().first().unwrap().clone().into_owned(), answer)
}

#[test]
fn a_certificate_is_replaced_while_running() {
    let place = Place::new();
    let (first, second) = (made(), made());
    install(&place, &first);
    let mut up = Up::start(&place, &["--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    let (shown, answer) = ask(&up, &[&first]);
    assert_eq!(&shown, first.cert.der());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""resource":"https://127.0.0.1:"#), "{answer}");

    install(&place, &second);
    let both = [&first, &second];
    eventually(|| (&ask(&up, &both).0 == second.cert.der()).then_some(())).expect("the second is in use");

    place.write("tls.crt", "not a certificate");
    up.wait_for("the last certificate stays in use");
    assert_eq!(&ask(&up, &both).0, second.cert.der());
    up.stop();
}
