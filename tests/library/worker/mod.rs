//! The queue before the model thread, with a stand-in for the model.

mod loading;

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use cooper_imaging::FrameHeader;
use cooper_model::engine::{Cancel, Control, Images, Speed};
use cooper_model::perception::Segmentation;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{
    Event, Frame, FrameSource, LatestFrame, ModelInfo, ModelRunner, Priority, Request, Settings,
    State, Task, TaskResult, Worker,
};
use image::RgbImage;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{mpsc, oneshot};

/// Works until it is stopped or `millis` (the seed) have passed; seed 13 is a bug.
struct StandIn {
    /// Counts how many there are.
    _alive: Arc<()>,
}

impl ModelRunner for StandIn {
    fn run_task(
        &mut self,
        images: &Images,
        task: &Task,
        settings: &Settings,
        control: &mut Control,
    ) -> Result<TaskResult> {
        let (Task::Segment, millis) = (task, settings.seed) else {
            return Err(Error::invalid("task", "expected a segmentation"));
        };
        assert_ne!(millis, 13, "thirteen");
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until {
            control.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(TaskResult::Segmentation(Segmentation::from_colors(
            images.last().1.clone(),
        )))
    }

    fn info(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn speed(&self) -> Speed {
        Speed::default()
    }
}

fn worker(limit: usize) -> Worker {
    loading(limit, |alive| Ok(StandIn { _alive: alive })).0
}

/// A worker whose model is what `load` makes of a count of those that are alive, and the count.
fn loading(
    limit: usize,
    mut load: impl FnMut(Arc<()>) -> Result<StandIn> + Send + 'static,
) -> (Worker, Weak<()>) {
    let alive = Arc::new(());
    let count = Arc::downgrade(&alive);
    let worker = Worker::spawn(limit, move || load(alive.clone()), |_, _| Ok(())).unwrap();
    until("a model", || {
        !matches!(worker.status().state, State::Loading | State::WarmingUp)
    });
    (worker, count)
}

/// The longest wait, shorter than the longest request of these tests: a wait for one that was not canceled fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Poll until there is a value.
#[track_caller]
fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    wait_for(what, || holds().then_some(()));
}

#[track_caller]
fn until_running(worker: &Worker) {
    until("a running request", || worker.status().running);
}

#[track_caller]
fn until_state(worker: &Worker, state: State) {
    until(&format!("{state:?}"), || worker.status().state == state);
}

/// The next event of a request.
#[track_caller]
fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    wait_for("an event", || match events.try_recv() {
        Ok(event) => Some(event),
        Err(mpsc::error::TryRecvError::Empty) => None,
        Err(mpsc::error::TryRecvError::Disconnected) => panic!("a request ended without Done"),
    })
}

/// The result of a request.
#[track_caller]
fn end(mut events: UnboundedReceiver<Event>) -> Result<TaskResult> {
    loop {
        if let Event::Done(result) = next(&mut events) {
            return result;
        }
    }
}

/// The result of loading or unloading.
#[track_caller]
fn done(mut command: oneshot::Receiver<Result<()>>) -> Result<()> {
    wait_for("the end of a command", || match command.try_recv() {
        Ok(result) => Some(result),
        Err(oneshot::error::TryRecvError::Empty) => None,
        Err(oneshot::error::TryRecvError::Closed) => panic!("a command ended without a result"),
    })
}

#[track_caller]
fn stop(worker: &Worker) {
    let worker = worker.clone();
    let stopping = std::thread::spawn(move || worker.stop());
    until("the end of the thread", || stopping.is_finished());
}

fn request_of(client: &str, millis: u64) -> Request {
    Request {
        client: client.into(),
        ..request(millis, Priority::Query)
    }
}

/// The positions that were told before the work began.
fn positions(events: &mut UnboundedReceiver<Event>) -> Vec<usize> {
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let position = told.map_while(|event| match event {
        Event::Position(position) => Some(position),
        _ => None,
    });
    position.collect()
}

#[derive(Debug)]
struct Camera(Mutex<Arc<Frame>>);

impl LatestFrame for Camera {
    fn name(&self) -> &str {
        "camera"
    }

    fn latest(&self) -> Result<Arc<Frame>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

fn frame(width: u32) -> Frame {
    Frame::new("camera", FrameHeader::default(), RgbImage::new(width, 1))
}

fn request(millis: u64, priority: Priority) -> Request {
    Request {
        client: "somebody".into(),
        frame: FrameSource::Pinned(Arc::new(frame(1))),
        task: Task::Segment,
        settings: Settings {
            seed: millis,
            ..Settings::default()
        },
        priority,
        cancel: Cancel::default(),
    }
}

#[test]
fn a_full_queue_refuses_and_the_rest_is_served_in_order() {
    let worker = worker(2);
    let running = worker.submit(request(100, Priority::Query)).unwrap();
    until_running(&worker);
    let waiting: Vec<_> = (0..2)
        .map(|_| worker.submit(request(1, Priority::Query)).unwrap())
        .collect();
    let refused = worker.submit(request(1, Priority::Query));
    assert!(matches!(refused, Err(Error::Busy { limit: 2 })));
    assert_eq!(worker.status().queue_length, 2);
    for events in [running].into_iter().chain(waiting) {
        assert!(end(events).is_ok());
    }
    let status = worker.status();
    assert_eq!(
        (status.done, status.refused, status.queue_length),
        (3, 1, 0)
    );
}

#[test]
fn a_query_ends_a_background_map_at_once() {
    let worker = worker(2);
    let background = worker
        .submit(request(60_000, Priority::Background))
        .unwrap();
    until_running(&worker);
    let query = worker.submit(request(1, Priority::Query)).unwrap();
    assert!(matches!(end(background), Err(Error::Canceled)));
    assert!(end(query).is_ok());
}

#[test]
fn a_panic_costs_its_request_only() {
    let worker = worker(2);
    let error = end(worker.submit(request(13, Priority::Query)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("thirteen"), "{error}");
    assert!(end(worker.submit(request(1, Priority::Query)).unwrap()).is_ok());
    assert_eq!((worker.status().failed, worker.status().done), (1, 1));
}

#[test]
fn the_newest_frame_is_taken_when_the_work_begins() {
    let worker = worker(2);
    let first = worker.submit(request(50, Priority::Query)).unwrap();
    let camera = Arc::new(Camera(Mutex::new(Arc::new(frame(3)))));
    let mut newest = request(1, Priority::Query);
    newest.frame = FrameSource::Latest(camera.clone());
    let second = worker.submit(newest).unwrap();
    *camera.0.lock().unwrap() = Arc::new(frame(5));
    assert!(end(first).is_ok());
    let Ok(TaskResult::Segmentation(map)) = end(second) else {
        panic!("expected a segmentation");
    };
    assert_eq!(map.color.width(), 5);
}

#[test]
fn a_waiting_request_is_canceled_without_its_turn() {
    let worker = worker(2);
    let running = worker.submit(request(300, Priority::Query)).unwrap();
    let waiting = request(1, Priority::Query);
    let cancel = waiting.cancel.clone();
    let events = worker.submit(waiting).unwrap();
    let asked = Instant::now();
    cancel.cancel();
    worker.remove_canceled();
    assert!(matches!(end(events), Err(Error::Canceled)));
    assert!(asked.elapsed() < Duration::from_millis(250));
    assert!(end(running).is_ok());
}

#[test]
fn a_stop_ends_what_runs_and_what_waits() {
    let worker = worker(2);
    let running = worker.submit(request(60_000, Priority::Query)).unwrap();
    let waiting = worker.submit(request(1, Priority::Query)).unwrap();
    stop(&worker);
    assert!(matches!(end(running), Err(Error::Canceled)));
    assert!(matches!(end(waiting), Err(Error::Canceled)));
    let refused = worker.submit(request(1, Priority::Query));
    assert!(matches!(refused, Err(Error::NotReady(_))));
}

#[test]
fn a_model_that_fails_to_load_says_why() {
    let load = |_| Err::<StandIn, _>(Error::invalid("model", "there is none"));
    let (worker, _) = loading(2, load);
    let Err(Error::NotReady(why)) = worker.submit(request(1, Priority::Query)) else {
        panic!("expected a refusal");
    };
    assert!(why.contains("there is none"));
}

#[test]
fn nothing_is_taken_before_the_warm_up_has_passed() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let worker = Worker::spawn(
        2,
        || {
            let _alive = Arc::new(());
            Ok(StandIn { _alive })
        },
        move |_, _| {
            wait.recv_timeout(PATIENCE)
                .map_err(|e| Error::Internal(e.to_string()))
        },
    );
    let worker = worker.unwrap();
    until_state(&worker, State::WarmingUp);
    let refused = worker.submit(request(1, Priority::Query));
    assert!(matches!(refused, Err(Error::NotReady(why)) if why.contains("warming up")));
    go.send(()).unwrap();
    until_state(&worker, State::Ready);
    assert!(end(worker.submit(request(1, Priority::Query)).unwrap()).is_ok());
}

#[test]
fn a_flood_of_one_client_does_not_starve_another() {
    let worker = worker(4);
    let running = worker.submit(request_of("flood", 100)).unwrap();
    until_running(&worker);
    let mut flood: Vec<_> = (0..4)
        .map(|_| worker.submit(request_of("flood", 1)).unwrap())
        .collect();
    assert_eq!(positions(&mut flood[0]).last(), Some(&1));
    let refused = worker.submit(request_of("flood", 1));
    assert!(matches!(refused, Err(Error::Busy { limit: 4 })));

    let mut single = worker.submit(request_of("single", 60_000)).unwrap();
    assert_eq!(positions(&mut single), [1], "behind the running one only");
    assert_eq!(positions(&mut flood[0]).last(), Some(&2), "it went ahead");
    let evicted = flood.pop().unwrap();
    assert!(matches!(end(evicted), Err(Error::Busy { limit: 4 })));
    assert_eq!(
        (worker.status().queue_length, worker.status().refused),
        (4, 2)
    );

    assert!(end(running).is_ok());
    let begun = loop {
        match next(&mut single) {
            Event::Position(0) => {}
            event => break event,
        }
    };
    assert!(matches!(begun, Event::Started(..)), "{begun:?}");
    assert_eq!(worker.status().queue_length, 3);
    stop(&worker);
}
