//! The check itself: records in, problems out. Everything that is wrong is told, not the first thing only.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    arguments::Options,
    key::{self, TrustedKey},
    note::{self, Checkpoint},
    pairs::Pairs,
    report::{Log, Report},
    source::{End, Form, Lines, Source},
    tree::{Hash, Tree},
};

/// Why nothing could be checked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A file could not be read.
    Unreadable(PathBuf, io::Error),
    /// There is no log where one was named.
    NoLog(PathBuf),
    /// A file is not a checkpoint by any of the keys.
    NoCheckpoint(PathBuf),
    /// A checkpoint is of a log that is not there.
    OtherLog(PathBuf, String),
}

impl Failure {
    /// Whether another command line mends it.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::NoLog(_) | Self::OtherLog(..) => true,
            Self::Unreadable(..) | Self::NoCheckpoint(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read `{}`: {error}", path.display()),
            Self::NoLog(path) => write!(
                f,
                "there is no log in `{}`\nhint: name the directory that `narrows audit export` wrote",
                path.display()
            ),
            Self::NoCheckpoint(path) => {
                write!(f, "`{}` is not a checkpoint signed by the key", path.display())
            }
            Self::OtherLog(path, origin) => {
                write!(f, "`{}` is a checkpoint of `{origin}`, which is not in the directory", path.display())
            }
        }
    }
}

/// Checks each log in the directory.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let directory = &options.directory;
    let unreadable = |error| Failure::Unreadable(directory.clone(), error);
    let mut logs = Vec::new();
    if !directory.is_dir() {
        return Err(Failure::NoLog(directory.clone()));
    }
    match Source::find(directory).map_err(unreadable)? {
        // Alone it may have any name; among others, its name is its writer's.
        Some(source) => logs.push((directory.clone(), source, Name::Any)),
        None => {
            for entry in std::fs::read_dir(directory).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.is_dir()
                    && let Some(source) = Source::find(&path).map_err(unreadable)?
                {
                    logs.push((path, source, Name::Writer));
                }
            }
        }
    }
    if logs.is_empty() {
        return Err(Failure::NoLog(directory.clone()));
    }
    logs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut kept =
        options.kept.iter().map(|path| kept(path, &options.keys)).collect::<Result<Vec<_>, _>>()?;
    let mut reports = Vec::new();
    for (directory, source, name) in logs {
        reports.push(check(&directory, source, name, options, &mut kept)?);
    }
    for (path, kept) in options.kept.iter().zip(kept) {
        if let Some((origin, _)) = kept {
            return Err(Failure::OtherLog(path.clone(), origin));
        }
    }
    Ok(Report::new(reports))
}

/// What the name of a log's directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Any,
    Writer,
}

/// A checkpoint that was kept elsewhere; taken out when its log is checked.
type Kept = Option<(String, Checkpoint)>;

fn kept(path: &Path, keys: &[TrustedKey]) -> Result<Kept, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::Unreadable(path.to_owned(), error))?;
    let wrong = || Failure::NoCheckpoint(path.to_owned());
    let origin = note::origin(&text).ok_or_else(wrong)?;
    let found =
        keys.iter().filter(|key| key.covers(origin)).find_map(|key| note::open(&text, origin, &key.public));
    Ok(Some((origin.to_owned(), found.ok_or_else(wrong)?)))
}

fn check(
    directory: &Path,
    source: Source,
    name: Name,
    options: &Options,
    kept: &mut [Kept],
) -> Result<Log, Failure> {
    let read = |name: &str| std::fs::read_to_string(directory.join(name));
    let text = read("checkpoint").unwrap_or_default();
    let origin = note::origin(&text).unwrap_or_default().to_owned();
    let called = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let writer = origin.rsplit('/').next().filter(|writer| !writer.is_empty()).unwrap_or(&called).to_owned();
    let mut log = Log { writer, origin, ..Log::default() };
    if name == Name::Writer && log.writer != called {
        log.problem("checkpoint", None, "not of the writer that the directory is named after");
    }
    let covers = options.keys.iter().filter(|key| key.covers(&log.origin));
    let opened =
        covers.clone().find_map(|key| Some((key.public, note::open(&text, &log.origin, &key.public)?)));
    let current = opened.as_ref().map(|(_, checkpoint)| checkpoint.clone());
    let public = opened.map(|(public, _)| public).or_else(|| covers.clone().next().map(|key| key.public));
    if current.is_none() {
        log.problem("checkpoint", None, "missing, or not a checkpoint signed by the key");
    }
    if let Some(public) = public {
        for (name, expected) in
            [("key.vkey", format!("{}\n", key::vkey(&log.origin, &public))), ("key.pem", key::pem(&public))]
        {
            if std::fs::read(directory.join(name)).is_ok_and(|found| found != expected.as_bytes()) {
                log.problem(name, None, "not the key that was given");
            }
        }
    }
    let mut expected = BTreeMap::new();
    for found in kept.iter_mut().filter(|kept| kept.as_ref().is_some_and(|(origin, _)| *origin == log.origin))
    {
        if let Some((_, checkpoint)) = found.take() {
            expected.entry(checkpoint.size).or_insert_with(Vec::new).push(checkpoint.root);
        }
    }
    let history = match File::open(directory.join("checkpoints")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => {
            let opened = opened.map_err(|error| Failure::Unreadable(directory.join("checkpoints"), error))?;
            Some(BufReader::new(opened))
        }
    };
    let check = Check {
        directory: directory.to_owned(),
        public: public.unwrap_or_default(),
        current,
        history,
        last: None,
        awaited: None,
        expected,
        tree: Tree::default(),
        pairs: Pairs::default(),
        log,
    };
    check.run(&source)
}

struct Check {
    directory: PathBuf,
    public: [u8; 32],
    current: Option<Checkpoint>,
    history: Option<BufReader<File>>,
    /// The last good checkpoint of the history.
    last: Option<Checkpoint>,
    /// The one that the records read next must lead to.
    awaited: Option<Checkpoint>,
    /// Checkpoints kept elsewhere.
    expected: BTreeMap<u64, Vec<Hash>>,
    tree: Tree,
    pairs: Pairs,
    log: Log,
}

impl Check {
    fn run(mut self, source: &Source) -> Result<Log, Failure> {
        let alone = self.history.is_none();
        if alone {
            self.awaited = self.current.clone();
            self.last = self.current.clone();
        } else {
            self.await_next()?;
        }
        self.settle()?;
        let mut last = source.files.iter().peekable();
        while let Some((first, path)) = last.next() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if *first != self.tree.size() {
                let message = format!("begins with record {first}, but {} come before it", self.tree.size());
                self.log.problem(&name, Some(self.tree.size()), message);
            }
            let ends = if last.peek().is_none() { source.form } else { Form::Export };
            self.file(&name, path, ends)?;
        }
        self.finish(source.form)?;
        Ok(self.log)
    }

    /// Reads a file of records. Only a log's last one may end with something unfinished.
    fn file(&mut self, name: &str, path: &Path, ends: Form) -> Result<(), Failure> {
        let unreadable = |error| Failure::Unreadable(path.to_owned(), error);
        let mut lines = Lines::open(path).map_err(unreadable)?;
        let mut line = Vec::new();
        while let Some(end) = lines.next(&mut line).map_err(unreadable)? {
            if end == End::Unfinished {
                if ends == Form::Export {
                    self.log.problem(name, Some(self.tree.size()), "does not end with a whole record");
                }
                return Ok(());
            }
            let index = self.tree.size();
            self.tree.add(&line);
            if let Err(message) = self.pairs.add(index, &line) {
                self.log.problem(name, Some(index), message);
            }
            self.settle()?;
        }
        Ok(())
    }

    /// Compares the tree with the checkpoints of its size.
    fn settle(&mut self) -> Result<(), Failure> {
        let size = self.tree.size();
        if self.expected.first_key_value().is_some_and(|(first, _)| *first == size)
            && let Some((_, roots)) = self.expected.pop_first()
            && roots.iter().any(|root| *root != self.tree.root())
        {
            let message =
                format!("the records before {size} are not those of a checkpoint that was kept elsewhere");
            self.log.problem("--checkpoint", Some(size), message);
        }
        while let Some(checkpoint) = self.awaited.take_if(|awaited| awaited.size == size) {
            if checkpoint.root == self.tree.root() {
                self.log.checkpoints += 1;
                self.log.covered = size;
                self.log.root = STANDARD.encode(checkpoint.root);
            } else {
                let message = format!(
                    "records {}..{size} are not those that the checkpoint of {size} records signs",
                    self.log.covered
                );
                self.log.problem("checkpoints", Some(self.log.covered), message);
            }
            self.await_next()?;
        }
        Ok(())
    }

    /// Goes to the next checkpoint of the history.
    fn await_next(&mut self) -> Result<(), Failure> {
        const FILE: &str = "checkpoints";
        while let Some(file) = &mut self.history {
            let unreadable = |error| Failure::Unreadable(self.directory.join(FILE), error);
            let Some(text) = note::next(file).map_err(unreadable)? else { return Ok(()) };
            let Some(checkpoint) = note::open(&text, &self.log.origin, &self.public) else {
                self.log.problem(FILE, None, "a note is not a checkpoint signed by the key");
                continue;
            };
            if self.last.as_ref().is_some_and(|last| last.size >= checkpoint.size) {
                let message =
                    format!("the checkpoint of {} records comes after a larger one", checkpoint.size);
                self.log.problem(FILE, None, message);
                continue;
            }
            self.last = Some(checkpoint.clone());
            self.awaited = Some(checkpoint);
            return Ok(());
        }
        Ok(())
    }

    fn finish(&mut self, form: Form) -> Result<(), Failure> {
        let records = self.tree.size();
        while let Some(checkpoint) = self.awaited.take() {
            let message = format!("a checkpoint covers {} records, and there are {records}", checkpoint.size);
            self.log.problem("checkpoints", Some(records), message);
            self.await_next()?;
        }
        for size in std::mem::take(&mut self.expected).into_keys() {
            let message = format!(
                "a checkpoint that was kept elsewhere covers {size} records, and there are {records}"
            );
            self.log.problem("--checkpoint", Some(records), message);
        }
        let newest = self.current.as_ref().is_none_or(|current| match form {
            Form::Export => self.last.as_ref() == Some(current),
            // A log goes on while it is copied.
            Form::Log => self.last.as_ref().is_some_and(|last| last.size > current.size || last == current),
        });
        if !newest {
            self.log.problem("checkpoint", None, "not the last checkpoint of the history");
        }
        if form == Form::Export && records != self.log.covered {
            let message =
                format!("there are {records} records, and the checkpoint covers {}", self.log.covered);
            self.log.problem("records.jsonl", Some(self.log.covered), message);
        }
        self.log.records = records;
        self.log.open_intents = self.pairs.open;
        Ok(())
    }
}
