use super::*;

fn order() -> Order {
    Order {
        bridge: 7,
        command: vec!["a b".to_owned(), "\n\"".to_owned()],
        env: vec![("K".to_owned(), "v=\u{e9}".to_owned())],
        directory: "/srv".into(),
        open_files: Some(64),
        files: FileAccess::Only { read: vec!["/r".to_owned()], write: Vec::new() },
        close: Duration::from_millis(1500),
        terminate: Duration::from_secs(3),
    }
}

#[test]
fn an_order_is_read_whole_and_nothing_after_it() {
    let mut bytes = order().encode().unwrap();
    bytes.extend_from_slice(b"{\"jsonrpc\":\"2.0\"}\n");
    let mut input = io::Cursor::new(bytes);
    assert_eq!(Order::read(&mut input).unwrap(), Some(order()));
    let mut rest = String::new();
    input.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "{\"jsonrpc\":\"2.0\"}\n");
}

#[test]
fn what_is_no_order_is_refused() {
    let whole = order().encode().unwrap();
    let cut = whole.get(..whole.len() - 1).unwrap().to_vec();
    for (input, expected) in [
        (b"".to_vec(), "none"),
        (b"12".to_vec(), "unexpected end of file"),
        (cut, "failed to fill whole buffer"),
        (b"-1\n".to_vec(), "invalid data"),
        (b"99999999999999999999999\n".to_vec(), "invalid data"),
        (b"4194305\n".to_vec(), "invalid data"),
        (b"2\n{}".to_vec(), "missing field `bridge` at line 1 column 2"),
    ] {
        let told = match Order::read(io::Cursor::new(&input)) {
            Ok(None) => "none".to_owned(),
            Ok(Some(order)) => format!("{order:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected, "{:?}", String::from_utf8_lossy(&input));
    }
}
