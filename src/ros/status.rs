//! The state of the node as one message, made at once, also while the model works.

use cooper_perception::pipeline::State;
use r2r::cooper_perception::msg::CameraStatus;
use r2r::cooper_perception::srv::GetStatus;

use super::cameras::{Camera, Snapshot};
use super::codes;
use super::convert::message_text;
use super::requests::Core;

/// Take the status now.
pub async fn status(core: &Core) -> GetStatus::Response {
    let worker = core.worker.status();
    let message = match &worker.state {
        State::Failed(why) => message_text(why),
        State::Unloaded => "there is no model until ~/load_model is called".into(),
        _ => worker
            .model
            .cache_remark()
            .map_or(String::new(), |remark| message_text(&remark)),
    };
    let mut cameras = Vec::with_capacity(core.cameras.len());
    for camera in &core.cameras {
        cameras.push(camera_status(camera, camera.snapshot(&core.clock).await));
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    GetStatus::Response {
        success: true,
        message,
        error_code: codes::NONE,
        header: core.clock.header(),
        state: state_name(&worker.state).into(),
        queue_length: count(worker.queue_length),
        queue_limit: count(worker.queue_limit),
        model: worker.model.dir,
        device: worker.model.device,
        dtype: worker.model.dtype,
        memory_bytes: worker.model.memory_bytes,
        cameras,
    }
}

/// The state's word in messages.
pub fn state_name(state: &State) -> &'static str {
    match state {
        State::Loading => "loading",
        State::WarmingUp => "warming_up",
        State::Ready => "ready",
        State::Failed(_) => "failed",
        State::Unloaded | State::Stopped => "unloaded",
    }
}

fn camera_status(camera: &Camera, heard: Snapshot) -> CameraStatus {
    let (width, height) = heard.size;
    let scale = camera.scaling.status();
    CameraStatus {
        name: camera.config.name.clone(),
        topic: camera.topic.clone(),
        rate_hz: heard.rate_hz,
        age_s: heard.age.map_or(-1.0, |age| age.as_secs_f64()),
        stamp_age_s: heard.stamp_age_s.unwrap_or(f64::NAN),
        encoding: heard.encoding,
        width,
        height,
        publishers: u32::try_from(heard.n_publishers).unwrap_or(u32::MAX),
        camera_info: scale.has_camera_info,
        why_silent: message_text(&heard.why_silent),
        scale_source: scale.source.word().into(),
        scale_valid: scale.affine.is_some(),
        scale: scale.affine.map_or(f64::NAN, |affine| affine.scale),
        shift: scale.affine.map_or(f64::NAN, |affine| affine.shift),
        scale_age_s: scale.age.map_or(-1.0, |age| age.as_secs_f64()),
        inlier_share: scale.fit.map_or(f64::NAN, |fit| fit.inlier_share),
        median_error: scale.fit.map_or(f64::NAN, |fit| fit.median_error),
        why_no_scale: message_text(&scale.why_not),
    }
}
