//! /diagnostics, once per second: the model, and each camera with the reason why it is silent.

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

use super::cameras::{Camera, Snapshot};
use super::convert::message_text;
use super::requests::Core;
use super::scale_status::ScaleStatus;
use super::status::state_name;

const OK: u8 = DiagnosticStatus::OK as u8;
const WARN: u8 = DiagnosticStatus::WARN as u8;
const ERROR: u8 = DiagnosticStatus::ERROR as u8;

/// Publish until the node ends; `node` is its full name.
pub async fn publish(core: Arc<Core>, publisher: Publisher<DiagnosticArray>, node: String) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let name = node.trim_start_matches('/');
        let mut status = vec![model_status(name, core.worker.status())];
        for camera in &core.cameras {
            let heard = camera.snapshot(&core.clock).await;
            let scale = camera.scaling.status();
            status.push(camera_status(name, camera, &heard, scale.has_camera_info));
            status.push(scale_status(name, &camera.config.name, &scale));
        }
        status.push(trace_status(name, &core.recorder.status()));
        let message = DiagnosticArray {
            header: core.clock.header(),
            status,
        };
        let published = publisher.publish(&message);
        // Once the model has stopped, the node is on its way out.
        let is_over = core.worker.status().state == State::Stopped;
        if let (Err(error), false) = (published, is_over) {
            tracing::warn!("diagnostics could not be published: {error}");
        }
    }
}

fn model_status(node: &str, worker: WorkerStatus) -> DiagnosticStatus {
    let (level, message) = match &worker.state {
        State::Ready => {
            let message = if worker.running { "working" } else { "ready" };
            match worker.model.cache_remark() {
                Some(remark) => (WARN, format!("{message}, but {remark}")),
                None => (OK, message.into()),
            }
        }
        State::Loading => (WARN, "loading".into()),
        State::WarmingUp => (WARN, "warming up".into()),
        State::Failed(why) => (ERROR, why.clone()),
        State::Unloaded => (
            WARN,
            "unloaded: there is no model until ~/load_model is called".into(),
        ),
        State::Stopped => (WARN, "stopped".into()),
    };
    let last_run = worker
        .last_run
        .map_or(String::new(), |run| format!("{:.3}", run.as_secs_f64()));
    let step_cache = match &worker.model.cache_test {
        Some(test) if test.has_passed() => "on",
        Some(_) => "turned off",
        None => "off",
    };
    let speed = &worker.speed;
    let median = |part| match speed.seconds(part) {
        Some(seconds) => format!("{seconds:.5}"),
        None => String::new(),
    };
    let steps = [3, 2, 1].map(|n_branches| median(Part::FlowStep(n_branches)));
    let guided_most = steps.into_iter().find(|step| !step.is_empty());
    DiagnosticStatus {
        level,
        name: format!("{node}: model"),
        message: message_text(&message),
        hardware_id: worker.model.device.clone(),
        values: values([
            ("state", state_name(&worker.state).into()),
            ("model", worker.model.dir),
            ("device", worker.model.device),
            ("dtype", worker.model.dtype),
            ("memory_bytes", worker.model.memory_bytes.to_string()),
            ("queue_length", worker.queue_length.to_string()),
            ("queue_limit", worker.queue_limit.to_string()),
            ("done", worker.done.to_string()),
            ("failed", worker.failed.to_string()),
            ("refused", worker.refused.to_string()),
            ("last_run_s", last_run),
            ("picture_s", median(Part::Prefill)),
            ("token_s", median(Part::Token)),
            ("flow_step_s", guided_most.unwrap_or_default()),
            ("decode_s", median(Part::Decode)),
            ("step_cache", step_cache.into()),
            ("last_error", worker.last_error.unwrap_or_default()),
        ]),
    }
}

fn camera_status(
    node: &str,
    camera: &Camera,
    heard: &Snapshot,
    has_camera_info: bool,
) -> DiagnosticStatus {
    let (level, message) = match heard.why_silent.as_str() {
        "" => match &heard.stamp_remark {
            Some(remark) => (WARN, format!("frames arrive, but {remark}")),
            // No level of its own: what needs a calibration says so in the status of the scale.
            None if !has_camera_info => {
                let topic = &camera.scaling.info_topic;
                (OK, format!("frames arrive; no calibration on {topic}"))
            }
            None => (OK, "frames arrive".into()),
        },
        why if heard.n_frames > 0 => (ERROR, why.into()),
        why => (WARN, why.into()),
    };
    DiagnosticStatus {
        level,
        name: format!("{node}: camera {}", camera.config.name),
        message: message_text(&message),
        hardware_id: String::new(),
        values: values([
            ("topic", camera.topic.clone()),
            ("rate_hz", format!("{:.2}", heard.rate_hz)),
            (
                "age_s",
                heard
                    .age
                    .map_or("-1".into(), |age| format!("{:.3}", age.as_secs_f64())),
            ),
            (
                "stamp_age_s",
                heard
                    .stamp_age_s
                    .map_or("nan".into(), |age| format!("{age:.3}")),
            ),
            ("encoding", heard.encoding.clone()),
            ("width", heard.size.0.to_string()),
            ("height", heard.size.1.to_string()),
            ("frames", heard.n_frames.to_string()),
            ("publishers", heard.n_publishers.to_string()),
            (
                "camera_info",
                if has_camera_info { "yes" } else { "missing" }.into(),
            ),
            ("why_silent", heard.why_silent.clone()),
        ]),
    }
}

fn scale_status(node: &str, camera: &str, scale: &ScaleStatus) -> DiagnosticStatus {
    let (level, message) = match (scale.affine, &scale.remark) {
        (Some(affine), None) => (OK, format!("metric depth: {affine}")),
        (Some(affine), Some(remark)) => (WARN, format!("metric depth: {affine}; {remark}")),
        (None, _) => {
            let is_wanted = scale.source != ScaleSource::None;
            let why_not = &scale.why_not;
            (
                if is_wanted { WARN } else { OK },
                format!("no metric depth: {why_not}"),
            )
        }
    };
    let number = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "nan".into(),
    };
    let of_fit =
        |field: fn(&ScaleFit) -> f64, digits| number(scale.fit.as_ref().map(field), digits);
    DiagnosticStatus {
        level,
        name: format!("{node}: scale {camera}"),
        message: message_text(&message),
        hardware_id: String::new(),
        values: values([
            ("source", scale.source.word().into()),
            (
                "scale_m",
                number(scale.affine.map(|affine| affine.scale), 4),
            ),
            (
                "shift_m",
                number(scale.affine.map(|affine| affine.shift), 4),
            ),
            ("age_s", number(scale.age.map(|age| age.as_secs_f64()), 3)),
            ("inlier_share", of_fit(|fit| fit.inlier_share, 3)),
            ("median_error", of_fit(|fit| fit.median_error, 4)),
            ("rms_m", of_fit(|fit| fit.rms_m, 4)),
            ("points", of_fit(|fit| fit.n_points as f64, 0)),
            ("references", scale.n_references.to_string()),
            ("why_not", scale.why_not.clone()),
        ]),
    }
}

fn trace_status(node: &str, traces: &RecorderStatus) -> DiagnosticStatus {
    let dir = traces.limits.dir.as_ref();
    let (level, message) = match (dir, &traces.why_lost) {
        (None, _) => (OK, "no traces are wanted".into()),
        (Some(_), None) => (OK, format!("{} traces were written", traces.written)),
        (Some(_), Some(why)) => (WARN, format!("a trace is lost: {why}")),
    };
    DiagnosticStatus {
        level,
        name: format!("{node}: traces"),
        message: message_text(&message),
        hardware_id: String::new(),
        values: values([
            (
                "dir",
                dir.map_or(String::new(), |dir| dir.display().to_string()),
            ),
            ("written", traces.written.to_string()),
            ("lost", traces.lost.to_string()),
            ("why_lost", traces.why_lost.clone().unwrap_or_default()),
            ("kept", traces.kept.to_string()),
            ("kept_bytes", traces.kept_bytes.to_string()),
        ]),
    }
}

fn values<const N: usize>(pairs: [(&str, String); N]) -> Vec<KeyValue> {
    let value = |(key, value): (&str, String)| KeyValue {
        key: key.into(),
        value: message_text(&value),
    };
    pairs.into_iter().map(value).collect()
}
