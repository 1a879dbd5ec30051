//! What the worker's handle and its thread share: the status, the queues, the commands, behind one lock.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cooper_model::engine::{Cancel, Speed};
use cooper_model::{Error, Result};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::queue::Queue;
use super::request::{Event, Priority, Request};
use super::runner::ModelInfo;

/// What the model thread is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Reading the weights.
    #[default]
    Loading,
    /// Answering a first question, so that the next one is not slowed by first-time work.
    WarmingUp,
    /// Takes requests.
    Ready,
    /// There is no model: somebody asked to free its memory.
    Unloaded,
    /// Loading failed for this reason.
    Failed(String),
    /// The thread has ended.
    Stopped,
}

/// The worker as others see it.
#[derive(Clone, Debug, Default)]
pub struct WorkerStatus {
    /// What the thread is doing.
    pub state: State,
    /// What is loaded, as long as it is.
    pub model: ModelInfo,
    /// How fast it works.
    pub speed: Speed,
    /// Requests waiting, without the running one.
    pub queue_length: usize,
    /// How many may wait.
    pub queue_limit: usize,
    /// Whether a request is running.
    pub running: bool,
    /// Requests that ended with a result.
    pub done: u64,
    /// Requests that failed (canceled ones not counted).
    pub failed: u64,
    /// Requests that found no room in the queue, or lost it to a client with fewer requests.
    pub refused: u64,
    /// How long the last finished request ran.
    pub last_run: Option<Duration>,
    /// Why the last failed request failed.
    pub last_error: Option<String>,
}

/// A request in the queue.
#[derive(Debug)]
pub(super) struct QueuedRequest {
    pub(super) request: Request,
    pub(super) events: UnboundedSender<Event>,
    pub(super) since: Instant,
}

impl QueuedRequest {
    /// End it before its turn.
    pub(super) fn end(&self, error: Error) {
        let _ = self.events.send(Event::Done(Err(error)));
    }
}

/// What the thread does between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Load,
    Unload,
}

/// A command, and the channel for its result.
#[derive(Debug)]
pub(super) struct PendingCommand {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<()>>,
}

/// What the handle and the thread share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) status: WorkerStatus,
    /// Run in order, before requests.
    pub(super) commands: VecDeque<PendingCommand>,
    pub(super) queries: Queue<QueuedRequest>,
    pub(super) background: Queue<QueuedRequest>,
    /// The running request's switch and priority.
    pub(super) running: Option<(Cancel, Priority)>,
    pub(super) stopping: bool,
}

impl Inner {
    /// A running query goes before all others; a background map gives way.
    fn n_running(&self) -> usize {
        usize::from(matches!(self.running, Some((_, Priority::Query))))
    }

    /// Whether a command to unload the model waits.
    pub(super) fn is_unloading(&self) -> bool {
        let mut commands = self.commands.iter();
        commands.any(|pending| pending.command == Command::Unload)
    }

    /// Forget the model; `state` says why there is none.
    pub(super) fn clear_model(&mut self, state: State) {
        self.status.state = state;
        self.status.model = ModelInfo::default();
        self.status.speed = Speed::default();
    }

    /// Why the worker takes no request now; `None` if it does.
    pub(super) fn refusal(&self) -> Option<String> {
        Some(match &self.status.state {
            _ if self.stopping => "it is stopping".into(),
            _ if self.is_unloading() => "it is being unloaded".into(),
            State::Ready => return None,
            State::Loading => "it is still loading".into(),
            State::WarmingUp => "it is still warming up".into(),
            State::Unloaded => "it was unloaded; load it with ~/load_model".into(),
            State::Failed(why) => why.clone(),
            State::Stopped => "it is stopping".into(),
        })
    }

    /// Remove canceled requests, and send all others their position.
    pub(super) fn remove_canceled(&mut self) {
        for queue in [&mut self.queries, &mut self.background] {
            queue.retain(|waiting| {
                let keep = !waiting.request.cancel.is_canceled();
                if !keep {
                    waiting.end(Error::Canceled);
                }
                keep
            });
        }
        let n_running = self.n_running();
        for (position, waiting) in self.queries.in_order().enumerate() {
            let _ = waiting.events.send(Event::Position(position + n_running));
        }
        self.status.queue_length = self.queries.len();
    }

    /// End all waiting requests with this error.
    pub(super) fn end_all(&mut self, error: impl Fn() -> Error) {
        for waiting in self.queries.drain().chain(self.background.drain()) {
            waiting.end(error());
        }
        self.status.queue_length = 0;
    }
}

/// [`Inner`] behind its lock.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// Wakes the thread.
    pub(super) wake: Condvar,
}

impl Shared {
    pub(super) fn new(queue_limit: usize) -> Self {
        let inner = Inner {
            status: WorkerStatus {
                queue_limit,
                ..WorkerStatus::default()
            },
            commands: VecDeque::new(),
            queries: Queue::new(queue_limit),
            background: Queue::new(queue_limit),
            running: None,
            stopping: false,
        };
        Self {
            inner: Mutex::new(inner),
            wake: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock is held cannot leave the queue half changed: each change is one call.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
