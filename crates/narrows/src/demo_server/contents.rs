//! What the demo server makes of a file's contents: a table's columns, a place in a JSON document, lines with a
//! text, a list of things to do. Values in, values out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Column {
    /// The name in the first line.
    name: String,
    /// Cells that are not empty.
    filled: u64,
    /// Cells that are numbers.
    numbers: u64,
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    /// The largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    /// The sum of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<f64>,
}

/// A table summed up.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct TableSummary {
    /// Lines after the first.
    rows: u64,
    /// The columns, in their order.
    columns: Vec<Column>,
}

/// Sums up comma-separated values (RFC 4180, quoted cells included) whose first line names the columns.
pub(super) fn summarise_table(text: &str) -> Result<TableSummary, &'static str> {
    let mut rows = cells(text)?.into_iter();
    let header = rows.next().ok_or("the file is empty: the first line must name the columns")?;
    let mut columns: Vec<Column> = header
        .into_iter()
        .map(|name| Column { name, filled: 0, numbers: 0, min: None, max: None, sum: None })
        .collect();
    let mut count = 0;
    for row in rows {
        count += 1;
        for (column, cell) in columns.iter_mut().zip(row) {
            if !cell.trim().is_empty() {
                column.filled += 1;
            }
            let Some(number) = cell.trim().parse::<f64>().ok().filter(|number| number.is_finite()) else {
                continue;
            };
            column.numbers += 1;
            column.min = Some(column.min.map_or(number, |min| min.min(number)));
            column.max = Some(column.max.map_or(number, |max| max.max(number)));
            column.sum = Some(column.sum.unwrap_or(0.0) + number);
        }
    }
    Ok(TableSummary { rows: count, columns })
}

fn cells(text: &str) -> Result<Vec<Vec<String>>, &'static str> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            other if quoted => cell.push(other),
            ',' => row.push(std::mem::take(&mut cell)),
            '\r' => {}
            '\n' => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    if quoted {
        return Err("a quoted cell is not closed");
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    Ok(rows)
}

/// What a JSON Pointer (RFC 6901) leads to in a document, as indented JSON.
pub(super) fn query_json(text: &str, pointer: &str) -> Result<String, String> {
    let document: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let found = document.pointer(pointer).ok_or_else(|| {
        format!("nothing is at `{pointer}`: write a JSON Pointer, for example `/items/0/name`")
    })?;
    Ok(format!("{found:#}"))
}

/// A line that holds the text searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Match {
    /// The file.
    path: String,
    /// The line, from 1.
    line: u64,
    /// The line's text, cut at 200 characters.
    text: String,
}

/// Lines of `text` that hold `needle`, whatever the case.
pub(super) fn matching_lines(path: &str, text: &str, needle: &str) -> Vec<Match> {
    let needle = needle.to_lowercase();
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.to_lowercase().contains(&needle))
        .map(|(line, text)| Match { path: path.to_owned(), line, text: text.chars().take(200).collect() })
        .collect()
}

/// The list of things to do, kept as one JSON file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Todos {
    /// What there is to do, numbered from 1 in this order.
    items: Vec<Todo>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Todo {
    text: String,
    done: bool,
}

impl Todos {
    /// Adds a thing and returns its number.
    pub(super) fn add(&mut self, text: String) -> usize {
        self.items.push(Todo { text, done: false });
        self.items.len()
    }

    /// Marks number `number` as done.
    pub(super) fn finish(&mut self, number: usize) -> Result<(), String> {
        let count = self.items.len();
        let item = number.checked_sub(1).and_then(|index| self.items.get_mut(index));
        item.ok_or_else(|| format!("there is no number {number}: the list has {count}"))?.done = true;
        Ok(())
    }
}
