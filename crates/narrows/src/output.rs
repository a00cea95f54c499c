//! Data for standard output, in the form asked for. Tables are for people; JSON and YAML hold the same values whole.

use std::io::Write as _;

use serde::Serialize;

use crate::{cli::OutputFormat, failure::Failure};

/// A table: a line of headings and as many cells in each row. The last column is never cut or padded.
#[derive(Debug, Default)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// The headings and the rows, columns padded to their widest cell, two spaces between.
    pub(crate) fn render(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        padded(std::iter::once(&headings).chain(&self.rows))
    }

    /// The rows without the headings.
    pub(crate) fn render_rows(&self) -> String {
        padded(self.rows.iter())
    }
}

fn padded<'a>(lines: impl Iterator<Item = &'a Vec<String>> + Clone) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for cells in lines.clone() {
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for cells in lines {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Prints `value` as JSON or YAML, or what `table` makes of it.
pub(crate) fn print<T: Serialize>(
    format: OutputFormat,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    write(&match format {
        OutputFormat::Table => table(value),
        OutputFormat::Json => json(value)?,
        OutputFormat::Yaml => yaml(value)?,
    })
}

/// One YAML document.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::new(format!("cannot write YAML: {error}")))
}

/// Prints text to standard output. A reader that went away is not a failure.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Failure::new(format!("cannot write to standard output: {error}"))),
    }
}

/// Indented JSON with a line feed.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
    Ok(text + "\n")
}

/// Text from a record or a server, with control characters shown as `\u{…}`, so that it can't drive a terminal.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_padded_and_harmless() {
        let mut table = Table::new(&["name", "what"]);
        table.row(vec!["a".into(), "x".into()]);
        table.row(vec!["longer".into(), "red\u{1b}[31m\u{202e}".into()]);
        assert_eq!(table.render(), "name    what\na       x\nlonger  red\\u{1b}[31m\\u{202e}\n");
    }
}
