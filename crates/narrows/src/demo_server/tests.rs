use super::{
    contents::{Todos, matching_lines, query_json, summarise_table},
    scratch::{Scratch, ScratchError, WriteMode},
    *,
};

fn scratch() -> (tempfile::TempDir, Scratch) {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("scratch");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(outer.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    std::os::unix::fs::symlink("/", root.join("slash")).unwrap();
    let scratch = Scratch::open(&root).unwrap();
    (outer, scratch)
}

#[test]
fn nothing_outside_is_reached() {
    let (outer, scratch) = scratch();
    for path in [
        "../secret",
        "a/../../secret",
        "/etc/hostname",
        "link",
        "slash/etc/hostname",
        "",
        "./../secret",
        "a\0b",
    ] {
        assert!(scratch.read(path).is_err(), "read {path:?}");
        assert!(scratch.write(path, b"x", WriteMode::Replace).is_err(), "write {path:?}");
        assert!(scratch.list(path).is_err(), "list {path:?}");
    }
    for path in ["../secret", "/etc/hostname", "slash/etc/hostname", "..", "."] {
        assert!(scratch.remove(path).is_err(), "remove {path:?}");
        assert!(scratch.make_directory(path).is_err(), "make {path:?}");
        assert!(scratch.rename(path, "here").is_err(), "rename {path:?}");
        scratch.write("f", b"x", WriteMode::Replace).unwrap();
        assert!(scratch.rename("f", path).is_err(), "rename to {path:?}");
    }
    assert_eq!(std::fs::read_to_string(outer.path().join("secret")).unwrap(), "outside");
}

#[test]
fn a_file_has_one_spelling() {
    let (_outer, scratch) = scratch();
    scratch.make_directory("d").unwrap();
    scratch.write("d/f", b"x", WriteMode::Replace).unwrap();
    for path in
        ["", "/d/f", "./d/f", "d/./f", "d//f", "d/f/", "d/../d/f", "d/f/.", "d/", "./d", "//d", "d/g/"]
    {
        let check = |error: ScratchError| {
            assert!(matches!(&error, ScratchError::Outside(found) if found == path), "{path:?}: {error}");
        };
        check(scratch.read(path).unwrap_err());
        check(scratch.info(path).unwrap_err());
        check(scratch.list(path).unwrap_err());
        check(scratch.write(path, b"y", WriteMode::Replace).unwrap_err());
        check(scratch.write(path, b"y", WriteMode::Append).unwrap_err());
        check(scratch.remove(path).unwrap_err());
        check(scratch.make_directory(path).unwrap_err());
        check(scratch.rename(path, "here").unwrap_err());
        check(scratch.rename("d/f", path).unwrap_err());
    }
    assert_eq!(scratch.read_text("d/f").unwrap(), "x");
}

#[test]
fn files_are_written_moved_and_removed() {
    let (_outer, scratch) = scratch();
    scratch.make_directory("d").unwrap();
    assert_eq!(scratch.write("d/a", b"one", WriteMode::Replace).unwrap(), 3);
    assert_eq!(scratch.write("d/a", b" two", WriteMode::Append).unwrap(), 7);
    assert_eq!(scratch.read_text("d/a").unwrap(), "one two");
    scratch.rename("d/a", "b").unwrap();
    scratch.write("c", b"", WriteMode::Replace).unwrap();
    assert_eq!(scratch.rename("b", "c").unwrap_err().to_string(), "`c` exists already");
    let names: Vec<_> = scratch.list(".").unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(names, ["b", "c", "d", "link", "slash"]);
    scratch.remove("d").unwrap();
    scratch.remove("b").unwrap();
    assert_eq!(scratch.read("b").unwrap_err().to_string(), "`b` does not exist");
    assert!(scratch.write("big", &vec![0; scratch::MAX_FILE + 1], WriteMode::Replace).is_err());
}

#[test]
fn tables_are_summed_up() {
    let check = |text: &str, expected: &str| {
        let found = summarise_table(text).map(|summary| serde_json::to_string(&summary).unwrap());
        assert_eq!(found.unwrap_or_else(str::to_owned), expected, "{text:?}");
    };
    check(
        "a,\"b,\"\"c\"\r\n1,x\r\n-2.5,\r\n",
        r#"{"rows":2,"columns":[{"name":"a","filled":2,"numbers":2,"min":-2.5,"max":1.0,"sum":-1.5},{"name":"b,\"c","filled":1,"numbers":0}]}"#,
    );
    check("", "the file is empty: the first line must name the columns");
    check("a\n\"b", "a quoted cell is not closed");
}

#[test]
fn documents_lines_and_lists() {
    assert_eq!(query_json(r#"{"a":[1,{"b":true}]}"#, "/a/1/b").unwrap(), "true");
    assert!(query_json(r#"{"a":1}"#, "/b").unwrap_err().starts_with("nothing is at `/b`"));
    assert_eq!(matching_lines("f", "one\nTwo\ntwo", "TWO").len(), 2);
    let mut todos = Todos::default();
    assert_eq!(todos.add("x".into()), 1);
    assert!(todos.finish(0).is_err());
    todos.finish(1).unwrap();
    assert_eq!(todos.finish(2).unwrap_err(), "there is no number 2: the list has 1");
}

#[test]
fn every_tool_is_described() {
    let tools = DemoServer::tool_router().list_all();
    assert_eq!(tools.len(), 15);
    for tool in tools {
        assert!(tool.description.is_some() && tool.annotations.is_some(), "{}", tool.name);
    }
}
