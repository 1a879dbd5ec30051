//! The thread that owns the model, and the bounded queue before it.
//!
//! Requests wait in a queue of their own ([`Priority::Query`]); the continuous maps of subscribed topics
//! ([`Priority::Background`]) run only when no query waits, and give way at once when one comes.
//! A panic in a request is caught: the request fails, the thread lives on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::frame::{Frame, LatestFrame};
use super::perceiver::{ModelInfo, Outcome, Perceive, Work};
use crate::engine::Cancel;
use crate::engine::Control;
use crate::engine::Progress;
use crate::error::{Error, Result};
use crate::reasoning::Settings;

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the reply: first come, first served.
    Query,
    /// A continuous map: runs when nobody waits, is canceled when somebody comes.
    Background,
}

/// Which frame a request works on.
#[derive(Clone, Debug)]
pub enum FrameSource {
    /// The frame of the moment when the request was accepted.
    Pinned(Arc<Frame>),
    /// The newest frame of the moment when the work begins.
    Latest(Arc<dyn LatestFrame>),
    /// The first one, and further ones behind it.
    Several(Box<FrameSource>, Vec<FrameSource>),
}

/// One thing to do.
#[derive(Debug)]
pub struct Request {
    /// The frame to work on.
    pub frame: FrameSource,
    /// What to do.
    pub work: Work,
    /// How to do it.
    pub settings: Settings,
    /// Query or background.
    pub priority: Priority,
    /// Stops it, waiting or running.
    pub cancel: Cancel,
}

/// News of a request, in this order: positions, start, progress, one end.
#[derive(Debug)]
pub enum Event {
    /// How many requests go before this one, the running one included.
    Position(usize),
    /// The model works on this frame now, after so long in the queue.
    Started(Arc<Frame>, Duration),
    /// See [`Progress`].
    Progress(Progress),
    /// The end; nothing follows.
    Done(Result<Outcome>),
}

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
    /// What is loaded, once it is.
    pub model: ModelInfo,
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
    /// Requests that were refused because the queue was full.
    pub refused: u64,
    /// How long the last finished request ran.
    pub last_run: Option<Duration>,
    /// Why the last failed request failed.
    pub last_error: Option<String>,
}

struct Waiting {
    request: Request,
    events: UnboundedSender<Event>,
    since: Instant,
}

#[derive(Default)]
struct Shared {
    status: WorkerStatus,
    queries: VecDeque<Waiting>,
    background: VecDeque<Waiting>,
    /// The running request's switch and priority.
    running: Option<(Cancel, Priority)>,
    stopping: bool,
}

impl Shared {
    /// The running query goes before all others; a background map gives way.
    fn n_running(&self) -> usize {
        usize::from(matches!(self.running, Some((_, Priority::Query))))
    }
}

struct Inner {
    shared: Mutex<Shared>,
    wake: Condvar,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic while the lock is held cannot leave the queue half changed: each change is one call.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle of the model thread; clones share it.
#[derive(Clone)]
pub struct Worker {
    inner: Arc<Inner>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Worker {
    /// Start the thread: it runs `load`, then `warm_up`, then requests until [`Worker::stop`].
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn spawn<P: Perceive + 'static>(
        queue_limit: usize,
        load: impl FnOnce() -> Result<P> + Send + 'static,
        warm_up: impl FnOnce(&mut P) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let mut shared = Shared::default();
        shared.status.queue_limit = queue_limit;
        let inner = Arc::new(Inner {
            shared: Mutex::new(shared),
            wake: Condvar::new(),
        });
        let of_thread = inner.clone();
        let thread = std::thread::Builder::new()
            .name("model".into())
            .spawn(move || run(&of_thread, load, warm_up))
            .map_err(|e| Error::Internal(format!("no thread for the model: {e}")))?;
        Ok(Self {
            inner,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Hand in a request; its news come on the returned channel, ending with one [`Event::Done`].
    ///
    /// # Errors
    /// [`Error::NotReady`] while there is no model, [`Error::Busy`] when the queue is full.
    pub fn submit(&self, request: Request) -> Result<UnboundedReceiver<Event>> {
        let mut shared = self.inner.lock();
        match &shared.status.state {
            State::Ready if !shared.stopping => {}
            State::Failed(why) => return Err(Error::NotReady(why.clone())),
            State::Loading => return Err(Error::NotReady("it is still loading".into())),
            State::WarmingUp => return Err(Error::NotReady("it is still warming up".into())),
            _ => return Err(Error::NotReady("it is stopping".into())),
        }
        let limit = shared.status.queue_limit;
        let n_running = shared.n_running();
        let background = request.priority == Priority::Background;
        let queue = if background {
            &mut shared.background
        } else {
            &mut shared.queries
        };
        if queue.len() >= limit {
            shared.status.refused += u64::from(!background);
            return Err(Error::Busy { limit });
        }
        let (events, receiver) = unbounded_channel();
        let position = queue.len() + n_running;
        let _ = events.send(Event::Position(position));
        queue.push_back(Waiting {
            request,
            events,
            since: Instant::now(),
        });
        if let (false, Some((running, Priority::Background))) = (background, &shared.running) {
            running.cancel();
        }
        shared.status.queue_length = shared.queries.len();
        self.inner.wake.notify_one();
        Ok(receiver)
    }

    /// A look at the worker.
    pub fn status(&self) -> WorkerStatus {
        self.inner.lock().status.clone()
    }

    /// Take canceled requests out of the queue now instead of when their turn comes.
    pub fn sweep(&self) {
        sweep(&mut self.inner.lock());
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

fn sweep(shared: &mut Shared) {
    let n_running = shared.n_running();
    let Shared {
        queries,
        background,
        ..
    } = shared;
    for queue in [&mut *queries, background] {
        queue.retain(|waiting| {
            let keep = !waiting.request.cancel.is_canceled();
            if !keep {
                let _ = waiting.events.send(Event::Done(Err(Error::Canceled)));
            }
            keep
        });
    }
    for (position, waiting) in queries.iter().enumerate() {
        let _ = waiting.events.send(Event::Position(position + n_running));
    }
    shared.status.queue_length = queries.len();
}

fn run<P: Perceive>(
    inner: &Inner,
    load: impl FnOnce() -> Result<P>,
    warm_up: impl FnOnce(&mut P) -> Result<()>,
) {
    let ready = || {
        let mut model = load()?;
        {
            let mut shared = inner.lock();
            shared.status.model = model.info();
            shared.status.state = State::WarmingUp;
        }
        warm_up(&mut model)?;
        Ok(model)
    };
    let ready = catch_unwind(AssertUnwindSafe(ready)).unwrap_or_else(|panic| Err(told(&*panic)));
    let mut model = match ready {
        Ok(model) => {
            inner.lock().status.state = State::Ready;
            model
        }
        Err(error) => {
            inner.lock().status.state = State::Failed(error.to_string());
            return;
        }
    };
    while let Some(waiting) = next(inner) {
        serve(inner, &mut model, waiting);
    }
    let mut shared = inner.lock();
    shared.status.state = State::Stopped;
    for waiting in shared.queries.iter().chain(&shared.background) {
        let _ = waiting.events.send(Event::Done(Err(Error::Canceled)));
    }
    shared.queries.clear();
    shared.background.clear();
}

/// Wait for the next request; none when the worker is to stop.
fn next(inner: &Inner) -> Option<Waiting> {
    let mut shared = inner.lock();
    loop {
        if shared.stopping {
            return None;
        }
        sweep(&mut shared);
        let next = shared.queries.pop_front();
        if let Some(waiting) = next.or_else(|| shared.background.pop_front()) {
            shared.running = Some((waiting.request.cancel.clone(), waiting.request.priority));
            shared.status.running = true;
            sweep(&mut shared);
            return Some(waiting);
        }
        shared = inner
            .wake
            .wait(shared)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn serve(inner: &Inner, model: &mut impl Perceive, waiting: Waiting) {
    let Waiting {
        request,
        events,
        since,
    } = waiting;
    let started = Instant::now();
    let frame = catch_unwind(AssertUnwindSafe(|| newest(&request.frame)))
        .unwrap_or_else(|panic| Err(told(&*panic)));
    let result = match frame {
        Err(error) => Err(error),
        Ok(frame) => {
            let _ = events.send(Event::Started(frame.clone(), since.elapsed()));
            let news = events.clone();
            let mut control = Control::new(request.cancel.clone(), move |progress| {
                let _ = news.send(Event::Progress(progress));
            });
            catch_unwind(AssertUnwindSafe(|| {
                let pictures = frame.pictures();
                model.perceive(&pictures, &request.work, &request.settings, &mut control)
            }))
            .unwrap_or_else(|panic| Err(told(&*panic)))
        }
    };
    {
        let mut shared = inner.lock();
        shared.running = None;
        let status = &mut shared.status;
        status.running = false;
        match &result {
            Ok(_) => {
                status.done += 1;
                status.last_run = Some(started.elapsed());
            }
            Err(Error::Canceled) => {}
            Err(error) => {
                status.failed += 1;
                status.last_error = Some(error.to_string());
            }
        }
    }
    let _ = events.send(Event::Done(result));
}

fn newest(source: &FrameSource) -> Result<Arc<Frame>> {
    match source {
        FrameSource::Pinned(frame) => Ok(frame.clone()),
        FrameSource::Latest(camera) => camera.latest(),
        FrameSource::Several(first, further) => {
            let frame = Frame::clone(&*newest(first)?);
            let further = further.iter().map(newest).collect::<Result<_>>()?;
            Ok(Arc::new(Frame { further, ..frame }))
        }
    }
}

fn told(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Internal(text.unwrap_or_else(|| "a panic without a message".into()))
}
