//! `narrows server logs`: what a server's processes wrote to their standard error.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind},
};

use crate::{cli::ServerLogsArgs, data_dir::DataDir, failure::Failure, output};

/// Runs the command. The server's bytes are shown with control characters escaped: it may write anything.
pub(crate) fn run(data_dir: &DataDir, args: &ServerLogsArgs) -> Result<(), Failure> {
    let (namespace, name) = (args.server.namespace.as_str(), args.server.name.as_str());
    let current = data_dir.servers().join(namespace).join(name).join("stderr.log");
    let mut lines = VecDeque::new();
    let mut found = false;
    for path in [current.with_extension("log.1"), current] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::new(format!("cannot read `{}`: {error}", path.display()))),
        };
        found = true;
        for line in BufReader::new(file).split(b'\n') {
            let line =
                line.map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))?;
            if lines.len() == args.lines {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }
    if !found {
        return Err(Failure::new(format!("there is no log of `{}`", args.server)).hint(
            "a stdio server has one after its first start: see `narrows check` for its name, and that `up` runs on \
             this data directory",
        ));
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(&output::printable(&String::from_utf8_lossy(&line)));
        text.push('\n');
    }
    output::write(&text)
}
