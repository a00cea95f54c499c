use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn add(&self, name: &str, mode: u32, text: &[u8]) -> &Self {
        let file = self.0.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// The outcome with the directory written as `DIR`, first line only.
    fn check(&self, program: &str, path: &str, expected: &str) {
        let dir = self.0.path().to_str().unwrap();
        let told = match find(&program.replace("DIR", dir), &path.replace("DIR", dir)) {
            Ok(file) => file.to_str().unwrap().to_owned(),
            Err(error) => error.to_string().lines().next().unwrap().to_owned(),
        };
        assert_eq!(told.replace(dir, "DIR"), expected, "{program} on {path}");
    }
}

#[test]
fn a_command_is_found_or_said_to_be_wrong() {
    let files = Files::new();
    files.add("run", 0o755, b"#!/bin/sh\n").add("elf", 0o755, b"\x7fELF....").add(
        "plain",
        0o644,
        b"#!/bin/sh\n",
    );
    files.add("shell", 0o755, b"echo hello\n").add("none", 0o755, b"");
    fs::create_dir(files.0.path().join("sub")).unwrap();
    for (program, path, expected) in [
        ("run", "/nowhere:DIR", "DIR/run"),
        ("elf", "DIR", "DIR/elf"),
        ("DIR/run", "", "DIR/run"),
        ("absent", "DIR:/usr/bin", "command `absent` was not found"),
        ("DIR/absent", "DIR", "command `DIR/absent` was not found"),
        ("DIR/run/below", "DIR", "command `DIR/run/below` was not found"),
        ("run", ".:bin:", "command `run` was not found"),
        ("./run", "DIR", "command `./run` is a relative path"),
        ("sub/run", "DIR", "command `sub/run` is a relative path"),
        ("plain", "DIR", "command `plain` may not be run: permission denied"),
        ("sub", "DIR", "command `sub` may not be run: permission denied"),
        ("shell", "DIR", "command `shell` is neither a program nor a script that begins with `#!`"),
        ("none", "DIR", "command `none` is neither a program nor a script that begins with `#!`"),
        ("run --flag", "DIR", "command `run --flag` was not found"),
        ("", "DIR", "the command is empty"),
    ] {
        files.check(program, path, expected);
    }
}
