//! What was found, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

/// Problems that are told one by one, for each log.
const TOLD: usize = 1000;

/// What was found, for each log.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) result: &'static str,
    pub(crate) writers: Vec<Log>,
}

/// What was found in one log.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Log {
    pub(crate) writer: String,
    pub(crate) origin: String,
    /// Records read.
    pub(crate) records: u64,
    /// Of these, how many a good checkpoint covers.
    pub(crate) covered: u64,
    pub(crate) root: String,
    /// Good checkpoints.
    pub(crate) checkpoints: u64,
    /// Intents without outcome.
    pub(crate) open_intents: u64,
    pub(crate) problem_count: u64,
    pub(crate) problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    pub(crate) message: String,
}

impl Log {
    pub(crate) fn problem(&mut self, file: &str, index: Option<u64>, message: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < TOLD {
            self.problems.push(Problem { file: file.to_owned(), index, message: message.into() });
        }
    }
}

impl Report {
    pub(crate) fn new(writers: Vec<Log>) -> Self {
        let mut report = Self { result: "refused", writers };
        if report.is_sound() {
            report.result = "ok";
        }
        report
    }

    /// Whether each log is as it was written. None at all is not.
    pub(crate) fn is_sound(&self) -> bool {
        !self.writers.is_empty() && self.writers.iter().all(|log| log.problem_count == 0)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let records: u64 = self.writers.iter().map(|log| log.covered).sum();
        let problems: u64 = self.writers.iter().map(|log| log.problem_count).sum();
        // Writing to a string does not fail.
        let _ = match self.result {
            "ok" => writeln!(text, "OK: {records} records are as they were written"),
            _ => writeln!(text, "REFUSED: the log is not as it was written ({problems} problems)"),
        };
        for log in &self.writers {
            let uncovered = log.records.saturating_sub(log.covered);
            let _ = write!(
                text,
                "{} ({}): {} records, {} covered by {} checkpoints, root {}",
                log.writer, log.origin, log.records, log.covered, log.checkpoints, log.root
            );
            if uncovered > 0 {
                let _ = write!(text, ", {uncovered} not covered");
            }
            let _ = writeln!(text, ", {} intents open", log.open_intents);
            for problem in &log.problems {
                let at = problem.index.map_or(String::new(), |index| format!(" record {index}"));
                let _ = writeln!(text, "  {}{at}: {}", problem.file, problem.message);
            }
            let untold = log.problem_count - log.problems.len() as u64;
            if untold > 0 {
                let _ = writeln!(text, "  and {untold} more");
            }
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
