use super::*;

/// The example key of <https://c2sp.org/signed-note> and of Go's `golang.org/x/mod/sumdb/note`.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn keys() {
    let key: VerifierKey = PETER.parse().unwrap();
    assert_eq!(key.name(), "PeterNeumann");
    assert_eq!(key.id(), [0xc7, 0x4f, 0x20, 0xa3]);
    assert_eq!(key.to_string(), PETER);
    let refuse = |text: &str| assert_eq!(text.parse::<VerifierKey>(), Err(CheckpointError::Key), "{text}");
    refuse("");
    refuse("PeterNeumann");
    refuse(&PETER.replace("c74f20a3", "c74f20a4"));
    refuse(&PETER.replace("Peter", "Mary"));
    refuse(&PETER.replace("+AR", "+AB"));
    refuse(&format!("{PETER}\n"));
    refuse(&PETER.replace("PeterNeumann", "Peter Neumann"));
}

#[test]
fn bodies() {
    let root = "4zpADg5LQYLPLzHLPQ0A3RrEx2z8eEKKo8KrIMWGUYc=";
    let text = format!("narrows.dev/a/local\n42\n{root}\n");
    let checkpoint: Checkpoint = text.parse().unwrap();
    assert_eq!(checkpoint.size, 42);
    assert_eq!(checkpoint.origin, "narrows.dev/a/local");
    assert_eq!(checkpoint.to_string(), text);
    let refuse =
        |text: String| assert_eq!(text.parse::<Checkpoint>(), Err(CheckpointError::Body), "{text:?}");
    refuse(String::new());
    refuse(text.trim_end().to_owned());
    refuse(format!("{text}more\n"));
    refuse(text.replace("42", "042"));
    refuse(text.replace("42", "+42"));
    refuse(text.replace("42", "-1"));
    refuse(text.replace("42", "18446744073709551616"));
    refuse(text.replace("4zp", "4zp4"));
    refuse(text.replace("Yc=", "Yd="));
    refuse(text.replace("Yc=", "Yc"));
    refuse(format!("\n42\n{root}\n"));
}

#[test]
fn notes() {
    let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    let text = format!(
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n{line}\n"
    );
    let note: Note = text.parse().unwrap();
    assert_eq!(note.signatures.len(), 1);
    assert_eq!(note.signatures[0].key_id, [0xc7, 0x4f, 0x20, 0xa3]);
    assert_eq!(note.signatures[0].signature.len(), 64);
    assert!(note.text.ends_with("problem is.\n"));
    assert_eq!(note.to_string(), text);
    let refuse = |text: String| assert_eq!(text.parse::<Note>(), Err(CheckpointError::Note), "{text:?}");
    refuse(String::new());
    refuse(text.trim_end().to_owned());
    refuse(text.replace("\n\n", "\n"));
    refuse(text.replace("\u{2014}", "-"));
    refuse(format!("{text}\n"));
    refuse(text.replace("PeterNeumann", "Peter Neumann"));
    refuse(text.replace("=\n", "\n"));
    refuse(text.replace("think", "thi\tnk"));
}
