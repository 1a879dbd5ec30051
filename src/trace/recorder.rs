//! The traces of a running node: one folder a question, the oldest go first, and nobody waits for the disk.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cooper_model::{Error, Result};

use super::folder::write;
use super::query::Query;
use super::record::Trace;

/// Questions that may wait for the disk; each holds its images and maps in memory.
const MOST_WAITING: usize = 8;
/// Begins a trace's folder; the nanoseconds since 1970 follow, in 20 digits.
const PREFIX: &str = "query_";
const N_DIGITS: usize = 20;
/// Ends the name of a folder that is being written.
const PART: &str = ".part";
/// What was begun so long ago was left behind by a node that ended meanwhile.
const STALE: Duration = Duration::from_secs(3600);

/// Where traces go, and how many are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Their folder; none: no traces.
    pub dir: Option<PathBuf>,
    /// The most traces in it.
    pub max_queries: usize,
    /// The most bytes of all of them.
    pub max_bytes: u64,
}

/// What became of traces since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderStatus {
    /// Where they go now.
    pub limits: Limits,
    /// Those that were written.
    pub written: u64,
    /// Those that could not be written.
    pub lost: u64,
    /// Why the last one could not be written; none once one could be again.
    pub why_lost: Option<String>,
    /// Those that are in the folder now.
    pub kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// Writes traces on a thread of its own. A trace that cannot be written is told, and is no error of its question.
#[derive(Debug)]
pub struct Recorder {
    status: Arc<Mutex<RecorderStatus>>,
    queue: Mutex<Option<SyncSender<Box<Query>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Start the thread; there are no traces before [`Self::limit`].
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn start() -> Result<Self> {
        let (queue, queries) = sync_channel(MOST_WAITING);
        let status = Arc::default();
        let of_thread = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name("traces".into())
            .spawn(move || run(&of_thread, &queries))
            .map_err(|e| Error::Internal(format!("no thread for traces: {e}")))?;
        Ok(Self {
            status,
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// From the next question on.
    pub fn limit(&self, limits: Limits) {
        lock(&self.status).limits = limits;
    }

    /// Whether traces are wanted.
    pub fn is_on(&self) -> bool {
        lock(&self.status).limits.dir.is_some()
    }

    /// What became of traces.
    pub fn status(&self) -> RecorderStatus {
        lock(&self.status).clone()
    }

    /// Write a question's trace, some time soon.
    pub fn record(&self, query: Query) {
        let sent = match &*lock(&self.queue) {
            Some(queue) => queue.try_send(query.into()),
            None => return,
        };
        if let Err(error) = sent {
            lose(
                &self.status,
                &match error {
                    TrySendError::Full(_) => {
                        format!("{MOST_WAITING} are waiting for the disk already")
                    }
                    TrySendError::Disconnected(_) => "the thread that writes them has ended".into(),
                },
            );
        }
    }

    /// Write what waits, and end.
    pub fn finish(&self) {
        drop(lock(&self.queue).take());
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment, so a panic while it is locked leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lose(status: &Mutex<RecorderStatus>, why: &str) {
    tracing::warn!("the trace of a question is lost: {why}");
    let mut status = lock(status);
    status.lost += 1;
    status.why_lost = Some(why.to_owned());
}

fn run(status: &Mutex<RecorderStatus>, queries: &Receiver<Box<Query>>) {
    let mut store = TraceStore::default();
    for query in queries {
        let limits = lock(status).limits.clone();
        let Some(dir) = &limits.dir else {
            continue;
        };
        let put = store.open(dir).and_then(|()| store.put(&query, &limits));
        match put {
            Err(error) => lose(status, &error.to_string()),
            Ok(()) => {
                let mut status = lock(status);
                status.written += 1;
                status.why_lost = None;
                status.kept = store.traces.len();
                status.kept_bytes = store.n_bytes();
            }
        }
    }
}

/// The traces in a folder, the oldest first, and the bytes of each.
#[derive(Default)]
struct TraceStore {
    dir: PathBuf,
    traces: VecDeque<(PathBuf, u64)>,
}

impl TraceStore {
    fn n_bytes(&self) -> u64 {
        self.traces.iter().map(|(_, n_bytes)| n_bytes).sum()
    }

    /// Look at what is there, if it is another folder than before.
    fn open(&mut self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        if self.dir == dir {
            return Ok(());
        }
        let mut traces = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))? {
            let path = entry.map_err(|e| Error::io(dir, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Other people's files are left alone.
            if is_stale(&name) {
                remove(&path)?;
            } else if stamp_of(&name).is_some() {
                let n_bytes = size_of(&path);
                traces.push((path, n_bytes));
            }
        }
        traces.sort();
        (self.dir, self.traces) = (dir.into(), traces.into());
        Ok(())
    }

    /// Write a trace, which is there as a whole or not at all, and make room for it.
    fn put(&mut self, query: &Query, limits: &Limits) -> Result<()> {
        let trace = Trace::of(query);
        let name = format!("{PREFIX}{:0N_DIGITS$}", trace.ended_ns);
        let (path, part) = (self.dir.join(&name), self.dir.join(name + PART));
        let written = std::fs::create_dir(&part)
            .map_err(|e| Error::io(&part, e))
            .and_then(|()| write(&part, query, &trace))
            .and_then(|n_bytes| self.make_room(n_bytes, limits).map(|()| n_bytes))
            .and_then(|n_bytes| {
                let moved = std::fs::rename(&part, &path);
                moved.map(|()| n_bytes).map_err(|e| Error::io(&path, e))
            });
        if written.is_err() {
            // Best effort: the reason to tell is the first one.
            let _ = remove(&part);
        }
        self.traces.push_back((path, written?));
        Ok(())
    }

    /// Remove the oldest until another one of so many bytes fits.
    fn make_room(&mut self, n_bytes: u64, limits: &Limits) -> Result<()> {
        if n_bytes > limits.max_bytes {
            let why = format!(
                "expected a trace of at most {} bytes, got {n_bytes}",
                limits.max_bytes
            );
            return Err(Error::invalid(self.dir.display().to_string(), why));
        }
        while self.traces.len() >= limits.max_queries || self.n_bytes() + n_bytes > limits.max_bytes
        {
            let Some((oldest, _)) = self.traces.front() else {
                break;
            };
            remove(oldest)?;
            self.traces.pop_front();
        }
        Ok(())
    }
}

/// The nanoseconds in a trace's name; none if it is not the name of one.
fn stamp_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let is_stamp = digits.len() == N_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_stamp.then(|| digits.parse().ok()).flatten()
}

fn is_stale(name: &str) -> bool {
    let begun = name.strip_suffix(PART).and_then(stamp_of);
    let begun = begun.map(|ns| std::time::UNIX_EPOCH + Duration::from_nanos(ns));
    begun.is_some_and(|begun| begun.elapsed().is_ok_and(|age| age > STALE))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, error)),
        _ => Ok(()),
    }
}

/// The bytes of the files in a folder; what cannot be looked at counts nothing.
fn size_of(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_ours() {
        let name = format!("{PREFIX}{:0N_DIGITS$}", 5);
        assert_eq!(stamp_of(&name), Some(5));
        for other in [
            "query_5",
            "notes",
            "query_0000000000000000000x",
            "query_",
            &format!("{name}0"),
        ] {
            assert_eq!(stamp_of(other), None, "{other}");
            assert!(!is_stale(&format!("{other}{PART}")), "{other}");
        }
        assert!(is_stale(&format!("{name}{PART}")) && !is_stale(&name));
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        assert!(!is_stale(&format!("{PREFIX}{now:0N_DIGITS$}{PART}")));
    }
}
