//! /diagnostics, once per second: the model, each camera and its scale, and the traces.

use std::sync::Arc;
use std::time::Duration;

use cooper_metric::ScaleFit;
use cooper_model::engine::Part;
use cooper_perception::config::ScaleSource;
use cooper_perception::pipeline::{State, WorkerStatus};
use cooper_perception::trace::RecorderStatus;
use r2r::Publisher;
use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use tokio::time::MissedTickBehavior;

use crate::camera::{Camera, Snapshot};
use crate::codes::state_name;
use crate::convert::message_text;
use crate::metric::ScaleStatus;
use crate::shared::Shared;

/// Publish for ever; `node` is the node's full name.
pub async fn publish(shared: Arc<Shared>, publisher: Publisher<DiagnosticArray>, node: String) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let node = node.trim_start_matches('/');
    loop {
        seconds.tick().await;
        let components = components(&shared).await;
        let message = DiagnosticArray {
            header: shared.clock.header(),
            status: components.into_iter().map(|c| c.status(node)).collect(),
        };
        let published = publisher.publish(&message);
        // A node that stops drops its publishers: that is no failure.
        let is_stopping = shared.worker.status().state == State::Stopped;
        if let (Err(error), false) = (published, is_stopping) {
            tracing::warn!("cannot publish diagnostics: {error}");
        }
    }
}

async fn components(shared: &Shared) -> Vec<Component> {
    let mut components = vec![model(shared.worker.status())];
    for camera in &shared.cameras {
        let snapshot = camera.snapshot(&shared.clock).await;
        let scale_status = camera.scale.status();
        components.push(frames(camera, &snapshot, &scale_status));
        components.push(scale(&camera.config.name, &scale_status));
    }
    components.push(traces(&shared.recorder.status()));
    components
}

/// One status of the array.
struct Component {
    name: String,
    summary: Summary,
    hardware_id: String,
    values: Vec<(&'static str, String)>,
}

impl Component {
    fn status(self, node: &str) -> DiagnosticStatus {
        let value = |(key, value): (&str, String)| KeyValue {
            key: key.into(),
            value: message_text(&value),
        };
        DiagnosticStatus {
            level: self.summary.level,
            name: format!("{node}: {}", self.name),
            message: message_text(&self.summary.message),
            hardware_id: self.hardware_id,
            values: self.values.into_iter().map(value).collect(),
        }
    }
}

/// A level and the reason for it.
struct Summary {
    level: u8,
    message: String,
}

fn ok(message: impl Into<String>) -> Summary {
    summary(DiagnosticStatus::OK as u8, message)
}

fn warn(message: impl Into<String>) -> Summary {
    summary(DiagnosticStatus::WARN as u8, message)
}

fn error(message: impl Into<String>) -> Summary {
    summary(DiagnosticStatus::ERROR as u8, message)
}

fn summary(level: u8, message: impl Into<String>) -> Summary {
    let message = message.into();
    Summary { level, message }
}

fn model(worker: WorkerStatus) -> Component {
    let summary = model_summary(&worker);
    let step_cache = match &worker.model.cache_test {
        Some(test) if test.has_passed() => "on",
        Some(_) => "turned off",
        None => "off",
    };
    let median = |part| seconds(worker.speed.seconds(part), 5);
    let steps = [3, 2, 1].map(|n_branches| median(Part::FlowStep(n_branches)));
    let most_guided = steps.into_iter().find(|step| !step.is_empty());
    let last_run = worker.last_run.map(|run| run.as_secs_f64());
    let values = vec![
        ("state", state_name(&worker.state).into()),
        ("model", worker.model.dir.clone()),
        ("device", worker.model.device.clone()),
        ("dtype", worker.model.dtype.clone()),
        ("memory_bytes", worker.model.memory_bytes.to_string()),
        ("queue_length", worker.queue_length.to_string()),
        ("queue_limit", worker.queue_limit.to_string()),
        ("done", worker.done.to_string()),
        ("failed", worker.failed.to_string()),
        ("refused", worker.refused.to_string()),
        ("last_run_s", seconds(last_run, 3)),
        ("picture_s", median(Part::Prefill)),
        ("token_s", median(Part::Token)),
        ("flow_step_s", most_guided.unwrap_or_default()),
        ("decode_s", median(Part::Decode)),
        ("step_cache", step_cache.into()),
        ("last_error", worker.last_error.unwrap_or_default()),
    ];
    Component {
        name: "model".into(),
        summary,
        hardware_id: worker.model.device,
        values,
    }
}

fn model_summary(worker: &WorkerStatus) -> Summary {
    match &worker.state {
        State::Ready => {
            let message = if worker.running { "working" } else { "ready" };
            match worker.model.cache_remark() {
                Some(remark) => warn(format!("{message}, but {remark}")),
                None => ok(message),
            }
        }
        State::Loading => warn("loading"),
        State::WarmingUp => warn("warming up"),
        State::Failed(why) => error(why),
        State::Unloaded => warn("unloaded: call ~/load_model to load a model"),
        State::Stopped => warn("stopped"),
    }
}

fn frames(camera: &Camera, snapshot: &Snapshot, scale: &ScaleStatus) -> Component {
    let summary = match (snapshot.why_silent.as_str(), &snapshot.stamp_problem) {
        ("", Some(problem)) => warn(format!("frames arrive, but {problem}")),
        // OK: what needs a calibration reports its absence in the status of the scale.
        ("", None) if !scale.has_camera_info => {
            let topic = &camera.scale.info_topic;
            ok(format!("frames arrive; no calibration on {topic}"))
        }
        ("", None) => ok("frames arrive"),
        (why, _) if snapshot.n_frames > 0 => error(why),
        (why, _) => warn(why),
    };
    let age = snapshot.age.map(|age| age.as_secs_f64());
    let camera_info = match scale.has_camera_info {
        true => "yes",
        false => "missing",
    };
    Component {
        name: format!("camera {}", camera.config.name),
        summary,
        hardware_id: String::new(),
        values: vec![
            ("topic", camera.topic.clone()),
            ("rate_hz", format!("{:.2}", snapshot.rate_hz)),
            ("age_s", age.map_or("-1".into(), |age| format!("{age:.3}"))),
            ("stamp_age_s", number(snapshot.stamp_age_s, 3)),
            ("encoding", snapshot.encoding.clone()),
            ("width", snapshot.size.0.to_string()),
            ("height", snapshot.size.1.to_string()),
            ("frames", snapshot.n_frames.to_string()),
            ("publishers", snapshot.n_publishers.to_string()),
            ("camera_info", camera_info.into()),
            ("why_silent", snapshot.why_silent.clone()),
        ],
    }
}

fn scale(camera: &str, scale: &ScaleStatus) -> Component {
    let summary = match (scale.affine, &scale.remark) {
        (Some(affine), None) => ok(format!("metric depth: {affine}")),
        (Some(affine), Some(remark)) => warn(format!("metric depth: {affine}; {remark}")),
        (None, _) => {
            let message = format!("no metric depth: {}", scale.why_not);
            match scale.source {
                ScaleSource::None => ok(message),
                _ => warn(message),
            }
        }
    };
    let fit = |field: fn(&ScaleFit) -> f64, digits| number(scale.fit.as_ref().map(field), digits);
    Component {
        name: format!("scale {camera}"),
        summary,
        hardware_id: String::new(),
        values: vec![
            ("source", scale.source.word().into()),
            ("scale_m", number(scale.affine.map(|a| a.scale), 4)),
            ("shift_m", number(scale.affine.map(|a| a.shift), 4)),
            ("age_s", number(scale.age.map(|age| age.as_secs_f64()), 3)),
            ("inlier_share", fit(|fit| fit.inlier_share, 3)),
            ("median_error", fit(|fit| fit.median_error, 4)),
            ("rms_m", fit(|fit| fit.rms_m, 4)),
            ("points", fit(|fit| fit.n_points as f64, 0)),
            ("references", scale.n_references.to_string()),
            ("why_not", scale.why_not.clone()),
        ],
    }
}

fn traces(traces: &RecorderStatus) -> Component {
    let dir = traces.limits.dir.as_ref();
    let summary = match (dir, &traces.why_lost) {
        (None, _) => ok("traces are off"),
        (Some(_), None) => ok(format!("{} traces written", traces.written)),
        (Some(_), Some(why)) => warn(format!("a trace was lost: {why}")),
    };
    let dir = dir.map_or(String::new(), |dir| dir.display().to_string());
    Component {
        name: "traces".into(),
        summary,
        hardware_id: String::new(),
        values: vec![
            ("dir", dir),
            ("written", traces.written.to_string()),
            ("lost", traces.lost.to_string()),
            ("why_lost", traces.why_lost.clone().unwrap_or_default()),
            ("kept", traces.kept.to_string()),
            ("kept_bytes", traces.kept_bytes.to_string()),
        ],
    }
}

/// A number with so many decimals; `nan` if unknown.
fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("nan".into(), |value| format!("{value:.digits$}"))
}

/// Seconds with so many decimals; empty if unknown.
fn seconds(value: Option<f64>, digits: usize) -> String {
    value.map_or(String::new(), |value| format!("{value:.digits$}"))
}
