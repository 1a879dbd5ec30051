//! `~/segment`: regions, on request with names and, where the camera has a metric scale, with 3D boxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cooper_model::Result;
use cooper_model::engine::Cancel;
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::{FrameSource, Settings, Task, TaskResult};
use r2r::cooper_perception::srv::Segment;

use super::failure;
use crate::metric::{self, MetricDepth, MetricResult, NO_CAMERA};
use crate::requests::{self, Caller, Completed};
use crate::shared::Shared;
use crate::{codes, convert, drawing};

const CALLER: Caller = Caller::client(&interfaces::SEGMENT);

/// Reply to a request.
pub async fn segment(shared: Arc<Shared>, request: Segment::Request) -> Segment::Response {
    let (completed, metric) = match draw(&shared, &request).await {
        Ok(drawn) => drawn,
        Err(error) => (Completed::failed(error), None),
    };
    let header = convert::std_header(&completed.header());
    let response = respond(&shared, &request, completed, metric).await;
    response.unwrap_or_else(|error| {
        let (error_code, message) = failure::report("segment", &error);
        Segment::Response {
            error_code,
            message,
            header,
            ..Segment::Response::default()
        }
    })
}

/// Draw the image's segmentation, and fit its metric depth where boxes are requested.
async fn draw(
    shared: &Shared,
    request: &Segment::Request,
) -> Result<(Completed, Option<MetricResult<Arc<MetricDepth>>>)> {
    let settings = shared.settings_with_seed(request.seed)?;
    let source = shared.frame_source(&request.camera, &request.image)?;
    let (source, metric) = if request.boxes {
        // Depth first: the scale's reference is kept for a short time only.
        let (source, metric) = draw_metric_depth(shared, request, source, settings.clone()).await?;
        (source, Some(metric))
    } else {
        (source, None)
    };
    let events = shared.submit(CALLER, source, Task::Segment, settings, Cancel::default())?;
    Ok((requests::completion(events).await, metric))
}

/// The metric depth of an image, or why it has none; and the frame that it belongs to.
async fn draw_metric_depth(
    shared: &Shared,
    request: &Segment::Request,
    source: FrameSource,
    settings: Settings,
) -> Result<(FrameSource, MetricResult<Arc<MetricDepth>>)> {
    if request.image.width > 0 {
        return Ok((source, Err(NO_CAMERA.into())));
    }
    let camera = shared.camera(&request.camera)?;
    if let Some(why) = camera.scale.why_never() {
        return Ok((source, Err(why)));
    }
    let (frame, depth) = drawing::draw_depth(shared, CALLER, source, settings).await?;
    let metric = metric::fit(&camera.scale, &frame, &depth, shared.parameters.now()).await;
    Ok((FrameSource::Pinned(frame), metric.map(Arc::new)))
}

async fn respond(
    shared: &Shared,
    request: &Segment::Request,
    completed: Completed,
    metric: Option<MetricResult<Arc<MetricDepth>>>,
) -> Result<Segment::Response> {
    let (frame, TaskResult::Segmentation(segmentation)) = completed.into_parts()? else {
        return Err(requests::wrong_result());
    };
    let header = &frame.header;
    // Regions are tracked over a camera's frames; an image of the request's own has no camera.
    let camera = match frame.camera.as_str() {
        "" => None,
        name => Some(shared.camera(name)?),
    };
    let mut segmentation = match camera {
        Some(camera) => camera.track(segmentation),
        None => segmentation,
    };
    if request.names {
        // A request wants current names, not those of earlier frames; those of a palette's classes are current.
        for region in &mut segmentation.regions {
            if region.class.is_none() {
                region.name = None;
            }
        }
        drawing::name_regions(shared, CALLER, &frame, &mut segmentation).await?;
        if let Some(camera) = camera {
            camera.keep_names(&segmentation);
        }
    }
    let segmentation = Arc::new(segmentation);
    let boxes = match metric {
        None => Ok(BTreeMap::new()),
        Some(Ok(metric)) => metric::boxes(&segmentation, &metric).await,
        Some(Err(why)) => Err(why),
    };
    let (boxes, message) = match boxes {
        Ok(boxes) => (boxes, String::new()),
        Err(why) => (BTreeMap::new(), format!("no boxes: {why}")),
    };
    Ok(Segment::Response {
        success: true,
        message: convert::message_text(&message),
        error_code: codes::NONE,
        header: convert::std_header(header),
        labels: convert::labels_image(&segmentation, header),
        color: convert::rgb_image(&segmentation.color, header),
        regions: convert::regions(&segmentation, &boxes),
    })
}
