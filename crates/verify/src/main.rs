//! `narrows-verify`: checks an exported audit log with nothing but the exported files and the public key.
//!
//! It is for whoever does not want to believe the program that wrote the log, so it shares no code with it: the tree
//! of RFC 6962, C2SP signed notes and the pairing of intents and outcomes are written here again, from their
//! specifications. It never writes a file and never opens a connection.

mod arguments;
mod check;
mod key;
mod note;
mod pairs;
mod report;
mod source;
mod tree;

use std::{env, io::Write, process::ExitCode};

use arguments::{Asked, Output};

fn main() -> ExitCode {
    let asked = match arguments::parse(env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("{message}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let options = match asked {
        Asked::Help => return say(arguments::USAGE),
        Asked::Version => return say(concat!("narrows-verify ", env!("CARGO_PKG_VERSION"))),
        Asked::Check(options) => options,
    };
    let report = match check::run(&options) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(if error.is_usage() { 2 } else { 1 });
        }
    };
    let text = match options.output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    let said = say(&text);
    if report.is_sound() { said } else { ExitCode::from(1) }
}

/// Prints to stdout. What could not be said was not found sound.
fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}
