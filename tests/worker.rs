//! The queue before the model thread, with a stand-in for the model.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cooper_perception::engine::{Cancel, Control, Pictures};
use cooper_perception::perception::Segmentation;
use cooper_perception::pipeline::{
    Event, Frame, FrameHeader, FrameSource, LatestFrame, ModelInfo, Outcome, Perceive, Priority,
    Request, Settings, State, Work, Worker,
};
use cooper_perception::{Error, Result};
use image::RgbImage;

/// Works until it is stopped or `millis` (the seed) have passed; seed 13 is a bug.
struct StandIn;

impl Perceive for StandIn {
    fn perceive(
        &mut self,
        pictures: &Pictures,
        work: &Work,
        _: &Settings,
        control: &mut Control,
    ) -> Result<Outcome> {
        let Work::Segment { seed: Some(millis) } = work else {
            return Err(Error::invalid("work", "expected a segmentation"));
        };
        assert_ne!(*millis, 13, "thirteen");
        let until = Instant::now() + Duration::from_millis(*millis);
        while Instant::now() < until {
            control.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Outcome::Segmentation(Segmentation::from_colors(
            pictures.last().1.clone(),
        )))
    }

    fn info(&self) -> ModelInfo {
        ModelInfo::default()
    }
}

fn worker(limit: usize) -> Worker {
    let worker = Worker::spawn(limit, || Ok(StandIn), |_| Ok(())).unwrap();
    while matches!(worker.status().state, State::Loading | State::WarmingUp) {
        std::thread::sleep(Duration::from_millis(1));
    }
    worker
}

#[derive(Debug)]
struct Camera(Mutex<Arc<Frame>>);

impl LatestFrame for Camera {
    fn latest(&self) -> Result<Arc<Frame>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

fn frame(width: u32) -> Frame {
    Frame::new("camera", FrameHeader::default(), RgbImage::new(width, 1))
}

fn request(millis: u64, priority: Priority) -> Request {
    Request {
        frame: FrameSource::Pinned(Arc::new(frame(1))),
        work: Work::Segment { seed: Some(millis) },
        settings: Settings::default(),
        priority,
        cancel: Cancel::default(),
    }
}

fn end(mut events: tokio::sync::mpsc::UnboundedReceiver<Event>) -> Result<Outcome> {
    loop {
        if let Event::Done(result) = events.blocking_recv().unwrap() {
            return result;
        }
    }
}

#[test]
fn a_full_queue_refuses_and_the_rest_is_served_in_order() {
    let worker = worker(2);
    let running = worker.submit(request(100, Priority::Query)).unwrap();
    while !worker.status().running {
        std::thread::sleep(Duration::from_millis(1));
    }
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
    while !worker.status().running {
        std::thread::sleep(Duration::from_millis(1));
    }
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
    let Ok(Outcome::Segmentation(map)) = end(second) else {
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
    worker.sweep();
    assert!(matches!(end(events), Err(Error::Canceled)));
    assert!(asked.elapsed() < Duration::from_millis(250));
    assert!(end(running).is_ok());
}

#[test]
fn a_stop_ends_what_runs_and_what_waits() {
    let worker = worker(2);
    let running = worker.submit(request(60_000, Priority::Query)).unwrap();
    let waiting = worker.submit(request(1, Priority::Query)).unwrap();
    worker.stop();
    assert!(matches!(end(running), Err(Error::Canceled)));
    assert!(matches!(end(waiting), Err(Error::Canceled)));
    let refused = worker.submit(request(1, Priority::Query));
    assert!(matches!(refused, Err(Error::NotReady(_))));
}

#[test]
fn a_model_that_fails_to_load_says_why() {
    let load = || Err::<StandIn, _>(Error::invalid("model", "there is none"));
    let worker = Worker::spawn(2, load, |_| Ok(())).unwrap();
    while matches!(worker.status().state, State::Loading | State::WarmingUp) {
        std::thread::sleep(Duration::from_millis(1));
    }
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
        || Ok(StandIn),
        move |_| wait.recv().map_err(|e| Error::Internal(e.to_string())),
    );
    let worker = worker.unwrap();
    while worker.status().state != State::WarmingUp {
        std::thread::sleep(Duration::from_millis(1));
    }
    let refused = worker.submit(request(1, Priority::Query));
    assert!(matches!(refused, Err(Error::NotReady(why)) if why.contains("warming up")));
    go.send(()).unwrap();
    while worker.status().state != State::Ready {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(end(worker.submit(request(1, Priority::Query)).unwrap()).is_ok());
}
