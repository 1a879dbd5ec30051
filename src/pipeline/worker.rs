//! The handle of the model's thread: it queues requests, loads and unloads the model, and returns the status.
//!
//! Clients take turns in the queue of requests that somebody waits for ([`Priority::Query`]). The continuous maps of
//! subscribed topics ([`Priority::Background`]) run only when no query waits, and are canceled when one comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use cooper_model::engine::{Cancel, Stop};
use cooper_model::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::model_thread;
use super::queue::Pushed;
use super::request::{Event, Priority, Request};
use super::runner::ModelRunner;
use super::shared::{Command, PendingCommand, QueuedRequest, Shared, WorkerStatus};

/// A handle of the model thread; clones share it.
#[derive(Clone, Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Worker {
    /// Start the thread: it runs `load`, then `warm_up`, then requests until [`Worker::stop`]. Both run again whenever
    /// the model is loaded again. `warm_up` must return [`Error::Canceled`] when its [`Cancel`] is canceled.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn spawn<P: ModelRunner + 'static>(
        queue_limit: usize,
        load: impl FnMut() -> Result<P> + Send + 'static,
        warm_up: impl FnMut(&mut P, &Cancel) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::new(queue_limit));
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("model".into())
            .spawn(move || model_thread::run(&for_thread, load, warm_up))
            .map_err(|e| Error::Internal(format!("no thread for the model: {e}")))?;
        let worker = Self {
            shared,
            thread: Arc::new(Mutex::new(Some(thread))),
        };
        drop(worker.load());
        Ok(worker)
    }

    /// Load the model, if there is none; the channel brings the result. Until then requests are refused.
    pub fn load(&self) -> oneshot::Receiver<Result<()>> {
        self.command(Command::Load)
    }

    /// Free the model and all that it caches; the channel brings the result. The running request returns what it has by
    /// then ([`Stop::Unloaded`]); waiting ones end with [`Error::NotReady`].
    pub fn unload(&self) -> oneshot::Receiver<Result<()>> {
        self.command(Command::Unload)
    }

    fn command(&self, command: Command) -> oneshot::Receiver<Result<()>> {
        let (reply, result) = oneshot::channel();
        let mut inner = self.shared.lock();
        inner.commands.push_back(PendingCommand { command, reply });
        if command == Command::Unload {
            if let Some((running, _)) = &inner.running {
                running.cancel_for(Stop::Unloaded);
            }
            inner.end_all(|| Error::NotReady(Stop::Unloaded.to_string()));
        }
        self.shared.wake.notify_one();
        result
    }

    /// Queue a request; its events come on the returned channel, the last one is [`Event::Done`].
    ///
    /// # Errors
    /// [`Error::NotReady`] while there is no model, [`Error::Busy`] when the queue is full.
    pub fn submit(&self, request: Request) -> Result<UnboundedReceiver<Event>> {
        let mut inner = self.shared.lock();
        if let Some(why) = inner.refusal() {
            return Err(Error::NotReady(why));
        }
        let is_query = request.priority == Priority::Query;
        let queue = if is_query {
            &mut inner.queries
        } else {
            &mut inner.background
        };
        let limit = queue.limit();
        let (events, receiver) = unbounded_channel();
        let client = request.client.clone();
        let waiting = QueuedRequest {
            request,
            events,
            since: Instant::now(),
        };
        let pushed = queue.push(&client, waiting);
        if !matches!(pushed, Pushed::Queued) {
            inner.status.refused += u64::from(is_query);
        }
        match pushed {
            Pushed::Queued => {}
            Pushed::Replaced(other) => other.end(Error::Busy { limit }),
            Pushed::Refused => return Err(Error::Busy { limit }),
        }
        if let (true, Some((running, Priority::Background))) = (is_query, &inner.running) {
            running.cancel();
        }
        inner.remove_canceled();
        self.shared.wake.notify_one();
        Ok(receiver)
    }

    /// The status of this moment.
    pub fn status(&self) -> WorkerStatus {
        self.shared.lock().status.clone()
    }

    /// Remove canceled requests from the queue now instead of when their turn comes.
    pub fn remove_canceled(&self) {
        self.shared.lock().remove_canceled();
    }

    /// Cancel everything and wait for the thread to end (within one token or one flow step).
    pub fn stop(&self) {
        {
            let mut inner = self.shared.lock();
            inner.stopping = true;
            if let Some((running, _)) = &inner.running {
                running.cancel();
            }
        }
        self.shared.wake.notify_one();
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
