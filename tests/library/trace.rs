//! Traces of a running node: kept within limits, and lost without harm where they cannot be written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cooper_imaging::FrameHeader;
use cooper_model::engine::{Evidence, MapKind};
use cooper_model::reasoning::{Status, Timings, Transcript};
use cooper_perception::pipeline::{Frame, ModelInfo, Settings};
use cooper_perception::trace::{Ended, Limits, Query, Recorder, RecorderStatus, read};
use image::{Rgb, RgbImage};

/// What cannot be compressed much.
fn image(seed: u32) -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| {
        let n = (x * 31 + y * 1_009 + seed).wrapping_mul(2_654_435_761);
        Rgb([(n >> 8) as u8, (n >> 16) as u8, (n >> 24) as u8])
    })
}

fn query(n: u32) -> Query {
    let map = Evidence {
        kind: MapKind::Depth,
        turn: 1,
        image: Arc::new(image(n + 1)),
        depth: None,
        seed: 0,
        steps: 3,
        steps_computed: 3,
        image_idx: 0,
        took: Duration::from_millis(5),
    };
    let transcript = Transcript {
        status: Status::Answered,
        answer: format!("{n}"),
        turns: vec!["look".into(), format!("<answer>{n}</answer>")],
        ids: vec![vec![1, 2], vec![1, 3]],
        evidence: vec![map],
        timings: Timings::default(),
    };
    let header = FrameHeader {
        stamp_secs: 7,
        stamp_nanos: 8,
        frame_id: "optical".into(),
    };
    Query {
        frame: Arc::new(Frame::new("front", header, image(n))),
        question: format!("question {n}"),
        settings: Settings::default(),
        model: ModelInfo::default(),
        ended: Ended::Answered,
        error: None,
        transcript: Some(transcript),
        queued: Duration::ZERO,
    }
}

fn limits(dir: &Path, max_queries: usize, max_bytes: u64) -> Limits {
    Limits {
        dir: Some(dir.into()),
        max_queries,
        max_bytes,
    }
}

/// Record these and wait until all are written or lost.
fn record(recorder: &Recorder, numbers: impl IntoIterator<Item = u32>) -> RecorderStatus {
    for n in numbers {
        let before = recorder.status();
        recorder.record(query(n));
        let begun = Instant::now();
        while {
            let now = recorder.status();
            now.written + now.lost == before.written + before.lost
        } {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    recorder.status()
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.sort();
    found
}

fn questions(dir: &Path) -> Vec<String> {
    let traces = folders(dir).into_iter().filter(|path| path.is_dir());
    traces
        .map(|path| read(&path).unwrap().trace.question)
        .collect()
}

#[test]
fn the_oldest_goes_first_and_other_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let traces = dir.path().join("new/traces");
    let recorder = Recorder::start().unwrap();
    recorder.limit(limits(&traces, 3, 1 << 30));
    assert!(recorder.is_on());
    record(&recorder, 0..2);
    std::fs::write(traces.join("notes.txt"), "mine").unwrap();
    let status = record(&recorder, 2..5);
    assert_eq!(
        questions(&traces),
        ["question 2", "question 3", "question 4"]
    );
    assert_eq!((status.written, status.lost, status.kept), (5, 0, 3));
    // Another one finds what the first has left.
    recorder.finish();
    let recorder = Recorder::start().unwrap();
    recorder.limit(limits(&traces, 2, 1 << 30));
    let status = record(&recorder, [5]);
    assert_eq!(questions(&traces), ["question 4", "question 5"]);
    let on_disk = |path: &PathBuf| -> u64 {
        folders(path)
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum()
    };
    let kept: u64 = folders(&traces)
        .iter()
        .filter(|path| path.is_dir())
        .map(on_disk)
        .sum();
    assert_eq!((status.kept, status.kept_bytes), (2, kept));
    assert!(traces.join("notes.txt").exists());
    // Bytes are a limit too: one trace and a half.
    recorder.limit(limits(&traces, 100, kept * 3 / 4));
    record(&recorder, 6..8);
    assert_eq!(questions(&traces), ["question 7"]);
    recorder.limit(limits(&traces, 100, 10));
    let status = record(&recorder, [8]);
    let why = status.why_lost.unwrap();
    assert!(
        why.contains("expected a trace of at most 10 bytes"),
        "{why}"
    );
    assert_eq!(questions(&traces), ["question 7"], "what is there stays");
    recorder.limit(Limits::default());
    assert!(!recorder.is_on());
}

#[test]
fn what_was_recorded_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start().unwrap();
    recorder.limit(limits(dir.path(), 3, 1 << 30));
    recorder.record(query(4));
    recorder.finish();
    let [folder] = folders(dir.path()).try_into().unwrap();
    let recorded = read(&folder).unwrap();
    assert_eq!(
        (recorded.images, recorded.maps),
        (vec![image(4)], vec![image(5)])
    );
    let trace = recorded.trace;
    let taken = &trace.images[0];
    assert_eq!(
        (taken.camera.as_str(), taken.stamp.as_str()),
        ("front", "7.000000008")
    );
    assert_eq!(
        (taken.frame_id.as_str(), taken.width, taken.height),
        ("optical", 40, 30)
    );
    assert_eq!(trace.tokens, [[1, 2], [1, 3]]);
    assert_eq!(
        (trace.answer.as_str(), trace.status),
        ("4", Ended::Answered)
    );
}

#[test]
fn a_trace_that_cannot_be_written_is_told_and_the_next_one_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let recorder = Recorder::start().unwrap();
    for (bad, why) in [
        (taken.clone(), "File exists"),
        (taken.join("below"), "Not a directory"),
    ] {
        recorder.limit(limits(&bad, 3, 1 << 30));
        let before = recorder.status().lost;
        let status = record(&recorder, [1]);
        assert_eq!(status.lost, before + 1);
        let told = status.why_lost.unwrap();
        assert!(told.contains("taken") && told.contains(why), "{told}");
    }
    recorder.limit(limits(&dir.path().join("good"), 3, 1 << 30));
    let status = record(&recorder, [2]);
    assert_eq!((status.written, status.why_lost), (1, None));
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "a file");
}
