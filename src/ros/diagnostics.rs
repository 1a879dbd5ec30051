//! /diagnostics, once per second: the model, and each camera with the reason why it is silent.

use std::sync::Arc;
use std::time::Duration;

use r2r::Publisher;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::diagnostic_msgs::msg::DiagnosticStatus;
use r2r::diagnostic_msgs::msg::KeyValue;
use tokio::time::MissedTickBehavior;

use super::cameras::{Camera, Snapshot};
use super::convert::message_text;
use super::requests::Core;
use super::status::state_name;
use crate::config::interfaces;
use crate::pipeline::State;
use crate::pipeline::WorkerStatus;

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
            status.push(camera_status(name, camera, &heard));
        }
        let message = DiagnosticArray {
            header: core.clock.header(),
            status,
        };
        if let Err(error) = publisher.publish(&message) {
            tracing::warn!("diagnostics could not be published: {error}");
        }
    }
}

fn model_status(node: &str, worker: WorkerStatus) -> DiagnosticStatus {
    let (level, message) = match &worker.state {
        State::Ready => (OK, if worker.running { "working" } else { "ready" }.into()),
        State::Loading => (WARN, "loading".into()),
        State::WarmingUp => (WARN, "warming up".into()),
        State::Failed(why) => (ERROR, why.clone()),
        State::Stopped => (WARN, "stopped".into()),
    };
    let last_run = worker
        .last_run
        .map_or(String::new(), |run| format!("{:.3}", run.as_secs_f64()));
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
            ("last_error", worker.last_error.unwrap_or_default()),
        ]),
    }
}

fn camera_status(node: &str, camera: &Camera, heard: &Snapshot) -> DiagnosticStatus {
    let (level, message) = match heard.why_silent.as_str() {
        "" => match &heard.stamp_remark {
            Some(remark) => (WARN, format!("frames arrive, but {remark}")),
            // No level of its own: nothing needs a calibration in this version.
            None if !heard.has_camera_info => {
                let topic = interfaces::CAMERA_INFO.of(&camera.config.name);
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
                if heard.has_camera_info {
                    "yes"
                } else {
                    "missing"
                }
                .into(),
            ),
            ("why_silent", heard.why_silent.clone()),
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
