//! `~/get_status`: the state of the node, also while the model works.

use std::sync::Arc;

use cooper_perception::pipeline::State;
use r2r::cooper_perception::msg::CameraStatus;
use r2r::cooper_perception::srv::GetStatus;

use crate::camera::{Camera, Snapshot};
use crate::codes;
use crate::convert::message_text;
use crate::shared::Shared;

/// Reply to a request.
pub async fn get_status(shared: Arc<Shared>, _: GetStatus::Request) -> GetStatus::Response {
    let worker = shared.worker.status();
    let message = match &worker.state {
        State::Failed(why) => message_text(why),
        State::Unloaded => "call ~/load_model to load a model".into(),
        _ => worker
            .model
            .cache_remark()
            .map_or(String::new(), |remark| message_text(&remark)),
    };
    let mut cameras = Vec::with_capacity(shared.cameras.len());
    for camera in &shared.cameras {
        cameras.push(camera_status(camera, camera.snapshot(&shared.clock).await));
    }
    GetStatus::Response {
        success: true,
        message,
        error_code: codes::NONE,
        header: shared.clock.header(),
        state: codes::state_name(&worker.state).into(),
        queue_length: codes::count(worker.queue_length),
        queue_limit: codes::count(worker.queue_limit),
        model: worker.model.dir,
        device: worker.model.device,
        dtype: worker.model.dtype,
        memory_bytes: worker.model.memory_bytes,
        cameras,
    }
}

fn camera_status(camera: &Camera, snapshot: Snapshot) -> CameraStatus {
    let (width, height) = snapshot.size;
    let scale = camera.scale.status();
    CameraStatus {
        name: camera.config.name.clone(),
        topic: camera.topic.clone(),
        rate_hz: snapshot.rate_hz,
        age_s: snapshot.age.map_or(-1.0, |age| age.as_secs_f64()),
        stamp_age_s: snapshot.stamp_age_s.unwrap_or(f64::NAN),
        encoding: snapshot.encoding,
        width,
        height,
        publishers: codes::count(snapshot.n_publishers),
        camera_info: scale.has_camera_info,
        why_silent: message_text(&snapshot.why_silent),
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
