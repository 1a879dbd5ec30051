//! The handle of the model's thread: requests into the bounded queue, loading and unloading, a look from outside.
//!
//! Requests that somebody waits for ([`Priority::Query`]) have a queue in which clients take turns; the continuous maps
//! of subscribed topics ([`Priority::Background`]) run only when no query waits, and give way at once when one comes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cooper_model::engine::{Cancel, Speed, Stop};
use cooper_model::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::model_thread;
use super::queue::{Put, Queue};
use super::request::{Event, Priority, Request};
use super::runner::{ModelInfo, ModelRunner};

/// What the model thread is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Reading the weights.
    #[default]
    Loading,
    /// Answering a first question, so that the next one finds everything in place.
    WarmingUp,
    /// It has answered the warm-up and takes requests.
    Ready,
    /// There is no model: it was asked to free the memory.
    Unloaded,
    /// It could not be loaded, for this reason.
    Failed(String),
    /// The thread has ended.
    Stopped,
}

/// A look at the worker from outside.
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
    /// Requests that ended with an outcome.
    pub done: u64,
    /// Requests that failed (canceled ones not counted).
    pub failed: u64,
    /// Requests that found no room in the queue, or lost it to a client that had less in it.
    pub refused: u64,
    /// How long the last finished request ran.
    pub last_run: Option<Duration>,
    /// Why the last failed request failed.
    pub last_error: Option<String>,
}

/// A request in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) events: UnboundedSender<Event>,
    pub(super) since: Instant,
}

impl Waiting {
    /// It ends without its turn.
    fn end(&self, error: Error) {
        let _ = self.events.send(Event::Done(Err(error)));
    }
}

/// What the thread does between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Load,
    Unload,
}

/// A command and who waits for its end.
#[derive(Debug)]
pub(super) struct Commanded {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<()>>,
}

/// What the handle and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) status: WorkerStatus,
    /// Carried out in order, before requests.
    pub(super) commands: VecDeque<Commanded>,
    pub(super) queries: Queue<Waiting>,
    pub(super) background: Queue<Waiting>,
    /// The running request's switch and priority.
    pub(super) running: Option<(Cancel, Priority)>,
    pub(super) stopping: bool,
}

impl Shared {
    /// The running query goes before all others; a background map gives way.
    fn n_running(&self) -> usize {
        usize::from(matches!(self.running, Some((_, Priority::Query))))
    }

    /// Whether the model is to go as soon as the thread has a moment.
    pub(super) fn is_unloading(&self) -> bool {
        let mut commands = self.commands.iter();
        commands.any(|commanded| commanded.command == Command::Unload)
    }

    /// There is no model, for this reason.
    pub(super) fn rest(&mut self, state: State) {
        self.status.state = state;
        self.status.model = ModelInfo::default();
        self.status.speed = Speed::default();
    }

    /// Why no request is taken now, if none is.
    fn refusal(&self) -> Option<String> {
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

    /// Take canceled requests out, and tell all others how many go before them.
    pub(super) fn sweep(&mut self) {
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

    /// End all that wait, each with this error.
    pub(super) fn end_all(&mut self, error: impl Fn() -> Error) {
        for waiting in self.queries.drain().chain(self.background.drain()) {
            waiting.end(error());
        }
        self.status.queue_length = 0;
    }
}

/// [`Shared`] behind its lock.
#[derive(Debug)]
pub(super) struct Inner {
    shared: Mutex<Shared>,
    pub(super) wake: Condvar,
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic while the lock is held cannot leave the queue half changed: each change is one call.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle of the model thread; clones share it.
#[derive(Clone, Debug)]
pub struct Worker {
    inner: Arc<Inner>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Worker {
    /// Start the thread: it runs `load`, then `warm_up`, then requests until [`Worker::stop`]. Both run again whenever
    /// the model is loaded again. `warm_up` is to end with [`Error::Canceled`] when its switch says so.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn spawn<P: ModelRunner + 'static>(
        queue_limit: usize,
        load: impl FnMut() -> Result<P> + Send + 'static,
        warm_up: impl FnMut(&mut P, &Cancel) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let shared = Shared {
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
        let inner = Arc::new(Inner {
            shared: Mutex::new(shared),
            wake: Condvar::new(),
        });
        let of_thread = inner.clone();
        let thread = std::thread::Builder::new()
            .name("model".into())
            .spawn(move || model_thread::run(&of_thread, load, warm_up))
            .map_err(|e| Error::Internal(format!("no thread for the model: {e}")))?;
        let worker = Self {
            inner,
            thread: Arc::new(Mutex::new(Some(thread))),
        };
        drop(worker.load());
        Ok(worker)
    }

    /// Load the model, if there is none; what comes tells the end. Until then requests are refused.
    pub fn load(&self) -> oneshot::Receiver<Result<()>> {
        self.command(Command::Load)
    }

    /// Free the model and all that it keeps; what comes tells the end. Of what runs comes back what there is by then
    /// ([`Stop::Unloaded`]), what waits ends with [`Error::NotReady`].
    pub fn unload(&self) -> oneshot::Receiver<Result<()>> {
        self.command(Command::Unload)
    }

    fn command(&self, command: Command) -> oneshot::Receiver<Result<()>> {
        let (reply, end) = oneshot::channel();
        let mut shared = self.inner.lock();
        shared.commands.push_back(Commanded { command, reply });
        if command == Command::Unload {
            if let Some((running, _)) = &shared.running {
                running.cancel_for(Stop::Unloaded);
            }
            shared.end_all(|| Error::NotReady(Stop::Unloaded.to_string()));
        }
        self.inner.wake.notify_one();
        end
    }

    /// Hand in a request; its news come on the returned channel, ending with one [`Event::Done`].
    ///
    /// # Errors
    /// [`Error::NotReady`] while there is no model, [`Error::Busy`] when the queue is full.
    pub fn submit(&self, request: Request) -> Result<UnboundedReceiver<Event>> {
        let mut shared = self.inner.lock();
        if let Some(why) = shared.refusal() {
            return Err(Error::NotReady(why));
        }
        let is_query = request.priority == Priority::Query;
        let queue = if is_query {
            &mut shared.queries
        } else {
            &mut shared.background
        };
        let limit = queue.limit();
        let (events, receiver) = unbounded_channel();
        let client = request.client.clone();
        let waiting = Waiting {
            request,
            events,
            since: Instant::now(),
        };
        let put = queue.put(&client, waiting);
        if !matches!(put, Put::Waits) {
            shared.status.refused += u64::from(is_query);
        }
        match put {
            Put::Waits => {}
            Put::InPlaceOf(other) => other.end(Error::Busy { limit }),
            Put::Refused => return Err(Error::Busy { limit }),
        }
        if let (true, Some((running, Priority::Background))) = (is_query, &shared.running) {
            running.cancel();
        }
        shared.sweep();
        self.inner.wake.notify_one();
        Ok(receiver)
    }

    /// A look at the worker.
    pub fn status(&self) -> WorkerStatus {
        self.inner.lock().status.clone()
    }

    /// Take canceled requests out of the queue now instead of when their turn comes.
    pub fn sweep(&self) {
        self.inner.lock().sweep();
    }

    /// Cancel everything and wait for the thread to end (within one token or one flow step).
    pub fn stop(&self) {
        {
            let mut shared = self.inner.lock();
            shared.stopping = true;
            if let Some((running, _)) = &shared.running {
                running.cancel();
            }
        }
        self.inner.wake.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
