//! `~/estimate_depth`: relative depth, and metric depth where the camera has a scale.

use std::sync::Arc;

use cooper_model::Result;
use cooper_model::engine::Cancel;
use cooper_model::perception::DepthMap;
use cooper_perception::config::{DepthEncoding, interfaces};
use cooper_perception::pipeline::{Frame, Task, TaskResult};
use r2r::cooper_perception::srv::EstimateDepth;
use r2r::sensor_msgs::msg::Image;

use super::failure;
use crate::drawing::Samples;
use crate::metric::{self, MetricDepth, MetricResult, NO_CAMERA};
use crate::requests::{self, Caller, Completed};
use crate::shared::Shared;
use crate::{codes, convert};

/// Reply to a request.
pub async fn estimate_depth(
    shared: Arc<Shared>,
    request: EstimateDepth::Request,
) -> EstimateDepth::Response {
    let completed = draw(&shared, &request)
        .await
        .unwrap_or_else(Completed::failed);
    let header = convert::std_header(&completed.header());
    let response = respond(&shared, &request, completed).await;
    response.unwrap_or_else(|error| {
        let (error_code, message) = failure::report("estimate_depth", &error);
        EstimateDepth::Response {
            header,
            error_code,
            message,
            ..without_scale()
        }
    })
}

/// Draw the request's map, once all its fields are checked.
async fn draw(shared: &Shared, request: &EstimateDepth::Request) -> Result<Completed> {
    requests::read_sample_count(request.confidence_samples)?;
    let settings = shared.settings_with_seed(request.seed)?;
    let source = shared.frame_source(&request.camera, &request.image)?;
    let caller = Caller::client(&interfaces::ESTIMATE_DEPTH);
    let events = shared.submit(caller, source, Task::Depth, settings, Cancel::default())?;
    Ok(requests::completion(events).await)
}

async fn respond(
    shared: &Arc<Shared>,
    request: &EstimateDepth::Request,
    completed: Completed,
) -> Result<EstimateDepth::Response> {
    let (frame, TaskResult::Depth(depth)) = completed.into_parts()? else {
        return Err(requests::wrong_result());
    };
    let (header, depth) = (&frame.header, Arc::new(depth));
    // Before more maps are drawn: the scale's reference is kept for a short time only.
    let metric = metric_depth(shared, &frame, &depth).await;
    let relative = EstimateDepth::Response {
        success: true,
        error_code: codes::NONE,
        header: convert::std_header(header),
        depth_relative: convert::depth_image(&depth, header),
        color: convert::rgb_image(&depth.color(), header),
        confidence: confidence(shared, request, &frame, &depth).await?,
        ..without_scale()
    };
    Ok(match metric {
        Ok(metric) => {
            let size = frame.image.dimensions();
            let encoding = DepthEncoding::Metres;
            EstimateDepth::Response {
                depth: convert::metres_image(&metric.values, size, encoding, header),
                scale: metric.scale.affine.scale,
                shift: metric.scale.affine.shift,
                scale_valid: true,
                scale_age_s: metric.scale.age_s,
                inlier_share: metric.scale.fit.inlier_share,
                median_error: metric.scale.fit.median_error,
                ..relative
            }
        }
        Err(why) => EstimateDepth::Response {
            message: convert::message_text(&format!("no metric depth: {why}")),
            ..relative
        },
    })
}

async fn metric_depth(
    shared: &Shared,
    frame: &Frame,
    depth: &Arc<DepthMap>,
) -> MetricResult<MetricDepth> {
    if frame.camera.is_empty() {
        return Err(NO_CAMERA.into());
    }
    let camera = shared.camera(&frame.camera);
    let camera = camera.map_err(|error| error.to_string())?;
    metric::fit(&camera.scale, frame, depth, shared.parameters.now()).await
}

/// The confidence image; empty if the request wants none.
async fn confidence(
    shared: &Shared,
    request: &EstimateDepth::Request,
    frame: &Arc<Frame>,
    depth: &DepthMap,
) -> Result<Image> {
    let Some(n) = requests::read_sample_count(request.confidence_samples)? else {
        return Ok(Image::default());
    };
    let samples = Samples {
        n,
        settings: shared.settings_with_seed(request.seed)?,
        caller: Caller::client(&interfaces::ESTIMATE_DEPTH),
    };
    let confidence = samples.confidence(shared, frame, depth).await?;
    let size = frame.image.dimensions();
    Ok(convert::float_image(&confidence, size, &frame.header))
}

/// A response without metric depth.
fn without_scale() -> EstimateDepth::Response {
    EstimateDepth::Response {
        scale: f64::NAN,
        shift: f64::NAN,
        scale_age_s: f64::NAN,
        inlier_share: f64::NAN,
        median_error: f64::NAN,
        ..EstimateDepth::Response::default()
    }
}
