//! The demo server's tools. Each does what it says to real files in the scratch directory, so that a governed call
//! has an effect to look at. An error is a tool's result with `isError`, which the model reads, never a protocol
//! error.

use aws_lc_rs::digest;
use rmcp::{
    handler::server::wrapper::{Json, Parameters},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DemoServer,
    contents::{Match, TableSummary, Todos, matching_lines, query_json, summarise_table},
    scratch::{Entry, EntryKind, ScratchError, WriteMode},
};

const TODO_FILE: &str = "todo.json";
const MAX_MATCHES: usize = 200;
const MAX_DEPTH: usize = 8;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PathArgument {
    /// A path relative to the scratch directory.
    path: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DirectoryArgument {
    /// A directory relative to the scratch directory; without it, the scratch directory.
    path: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TextArguments {
    /// A path relative to the scratch directory.
    path: String,
    /// The text to write.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct MoveArguments {
    /// The path that is.
    from: String,
    /// The path that is to be; nothing may be there yet.
    to: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SearchArguments {
    /// The text to look for, whatever the case.
    text: String,
    /// Where to begin; without it, the scratch directory.
    path: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct JsonArguments {
    /// A JSON file.
    path: String,
    /// A JSON Pointer, for example `/items/0/name`; empty for the whole document.
    pointer: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TodoText {
    /// What is to be done.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TodoNumber {
    /// Its number in the list, from 1.
    number: usize,
}

/// A file or directory.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileInfo {
    path: String,
    /// `file`, `directory` or `other`.
    kind: &'static str,
    bytes: u64,
    /// RFC 3339, UTC.
    modified: String,
    /// The SHA-256 of a file's contents, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// The entries of a directory.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Listing {
    entries: Vec<FileInfo>,
}

/// What a search found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Matches {
    matches: Vec<Match>,
    /// Whether there were more than are shown.
    cut: bool,
}

#[tool_router(vis = "pub(super)")]
impl DemoServer {
    #[tool(
        description = "Write a text file, replacing what it held.",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    fn write_file(&self, Parameters(args): Parameters<TextArguments>) -> Result<String, String> {
        let size = self.scratch.write(&args.path, args.text.as_bytes(), WriteMode::Replace).map_err(said)?;
        Ok(format!("wrote {size} bytes to {}", args.path))
    }

    #[tool(
        description = "Add text to the end of a file, making the file if there is none.",
        annotations(read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    fn append_file(&self, Parameters(args): Parameters<TextArguments>) -> Result<String, String> {
        let size = self.scratch.write(&args.path, args.text.as_bytes(), WriteMode::Append).map_err(said)?;
        Ok(format!("{} has {size} bytes now", args.path))
    }

    #[tool(description = "Read a text file.", annotations(read_only_hint = true, open_world_hint = false))]
    fn read_file(&self, Parameters(args): Parameters<PathArgument>) -> Result<String, String> {
        self.scratch.read_text(&args.path).map_err(said)
    }

    #[tool(description = "List a directory.", annotations(read_only_hint = true, open_world_hint = false))]
    fn list_files(&self, Parameters(args): Parameters<DirectoryArgument>) -> Result<Json<Listing>, String> {
        let entries = self.scratch.list(args.path.as_deref().unwrap_or(".")).map_err(said)?;
        Ok(Json(Listing { entries: entries.into_iter().map(|entry| describe(entry, None)).collect() }))
    }

    #[tool(
        description = "Make a directory.",
        annotations(read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    fn make_directory(&self, Parameters(args): Parameters<PathArgument>) -> Result<String, String> {
        self.scratch.make_directory(&args.path).map_err(said)?;
        Ok(format!("made {}", args.path))
    }

    #[tool(
        description = "Move or rename a file or directory. Nothing is replaced.",
        annotations(read_only_hint = false, destructive_hint = true, open_world_hint = false)
    )]
    fn move_file(&self, Parameters(args): Parameters<MoveArguments>) -> Result<String, String> {
        self.scratch.rename(&args.from, &args.to).map_err(said)?;
        Ok(format!("{} is {} now", args.from, args.to))
    }

    #[tool(
        description = "Delete a file or an empty directory.",
        annotations(read_only_hint = false, destructive_hint = true, open_world_hint = false)
    )]
    fn delete_file(&self, Parameters(args): Parameters<PathArgument>) -> Result<String, String> {
        self.scratch.remove(&args.path).map_err(said)?;
        Ok(format!("deleted {}", args.path))
    }

    #[tool(
        description = "Size, time of change and SHA-256 of a file.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn file_info(&self, Parameters(args): Parameters<PathArgument>) -> Result<Json<FileInfo>, String> {
        let entry = self.scratch.info(&args.path).map_err(said)?;
        let sha256 = match entry.kind {
            EntryKind::File => Some(sha256(&self.scratch.read(&args.path).map_err(said)?)),
            EntryKind::Directory | EntryKind::Other => None,
        };
        Ok(Json(describe(entry, sha256)))
    }

    #[tool(
        description = "Find the lines of text files that hold a text, in all directories below one.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn search_text(&self, Parameters(args): Parameters<SearchArguments>) -> Result<Json<Matches>, String> {
        let mut matches = Vec::new();
        let mut waiting = vec![(args.path.unwrap_or_else(|| ".".to_owned()), 0)];
        while let Some((directory, depth)) = waiting.pop() {
            for entry in self.scratch.list(&directory).map_err(said)? {
                match entry.kind {
                    EntryKind::Directory if depth < MAX_DEPTH => waiting.push((entry.path, depth + 1)),
                    EntryKind::File => {
                        let Ok(text) = self.scratch.read_text(&entry.path) else { continue };
                        matches.extend(matching_lines(&entry.path, &text, &args.text));
                    }
                    EntryKind::Directory | EntryKind::Other => {}
                }
                if matches.len() > MAX_MATCHES {
                    matches.truncate(MAX_MATCHES);
                    return Ok(Json(Matches { matches, cut: true }));
                }
            }
        }
        Ok(Json(Matches { matches, cut: false }))
    }

    #[tool(
        description = "Sum up a CSV file whose first line names the columns: rows, and for each column how many \
                       numbers it has, the smallest, the largest and the sum.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn csv_summary(&self, Parameters(args): Parameters<PathArgument>) -> Result<Json<TableSummary>, String> {
        let text = self.scratch.read_text(&args.path).map_err(said)?;
        summarise_table(&text).map(Json).map_err(|problem| format!("`{}`: {problem}", args.path))
    }

    #[tool(
        description = "Read one place in a JSON file by JSON Pointer.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn json_query(&self, Parameters(args): Parameters<JsonArguments>) -> Result<String, String> {
        let text = self.scratch.read_text(&args.path).map_err(said)?;
        query_json(&text, &args.pointer).map_err(|problem| format!("`{}`: {problem}", args.path))
    }

    #[tool(
        description = "Put something on the list of things to do.",
        annotations(read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    fn todo_add(&self, Parameters(args): Parameters<TodoText>) -> Result<String, String> {
        let mut todos = self.todos()?;
        let number = todos.add(args.text);
        self.keep(&todos)?;
        Ok(format!("number {number}"))
    }

    #[tool(
        description = "Mark something on the list as done.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    fn todo_done(&self, Parameters(args): Parameters<TodoNumber>) -> Result<Json<Todos>, String> {
        let mut todos = self.todos()?;
        todos.finish(args.number)?;
        self.keep(&todos)?;
        Ok(Json(todos))
    }

    #[tool(
        description = "The list of things to do.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn todo_list(&self) -> Result<Json<Todos>, String> {
        self.todos().map(Json)
    }

    #[tool(description = "The time, in UTC.", annotations(read_only_hint = true, open_world_hint = false))]
    fn clock(&self) -> String {
        jiff::Timestamp::now().to_string()
    }

    fn todos(&self) -> Result<Todos, String> {
        match self.scratch.read(TODO_FILE) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("`{TODO_FILE}`: {error}")),
            Err(ScratchError::Missing(_)) => Ok(Todos::default()),
            Err(other) => Err(said(other)),
        }
    }

    fn keep(&self, todos: &Todos) -> Result<(), String> {
        let bytes = serde_json::to_vec_pretty(todos).map_err(|error| error.to_string())?;
        self.scratch.write(TODO_FILE, &bytes, WriteMode::Replace).map_err(said).map(|_| ())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err by name")]
fn said(error: ScratchError) -> String {
    error.to_string()
}

fn describe(entry: Entry, sha256: Option<String>) -> FileInfo {
    let kind = match entry.kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Other => "other",
    };
    let modified =
        jiff::Timestamp::from_second(entry.modified).map(|time| time.to_string()).unwrap_or_default();
    FileInfo { path: entry.path, kind, bytes: entry.bytes, modified, sha256 }
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
