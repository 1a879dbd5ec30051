//! `~/segment`: regions, on request with their names and, where the camera has a metric scale, with 3D boxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cooper_model::Result;
use cooper_model::engine::Cancel;
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::{FrameSource, Task, TaskResult};
use r2r::cooper_perception::srv::Segment;

use super::metric_maps::{self, NO_CAMERA};
use super::metric_scale::{Metres, OrWhy};
use super::requests::{self, Caller, Core, Finished};
use super::{codes, convert, drawing, services};

/// Answer a request.
pub async fn segment(core: Arc<Core>, request: Segment::Request) -> Segment::Response {
    let (finished, metres) = match seen(&core, &request).await {
        Ok(seen) => seen,
        Err(error) => (Finished::refused(error), None),
    };
    let header = convert::std_header(&finished.header());
    reply(&core, &request, finished, metres)
        .await
        .unwrap_or_else(|error| {
            let (error_code, message) = services::told("segment", &error);
            Segment::Response {
                error_code,
                message,
                header,
                ..Segment::Response::default()
            }
        })
}

/// Draw the image's segmentation, and find its metres where boxes are asked for.
async fn seen(
    core: &Arc<Core>,
    request: &Segment::Request,
) -> Result<(Finished, Option<OrWhy<Arc<Metres>>>)> {
    let seed = requests::seed_of(request.seed)?;
    let source = core.frame_source(&request.camera, &request.image)?;
    let (source, metres) = if request.boxes {
        // The depth first: what its scale is taken from is kept for a while only.
        let (source, metres) = metres(core, request, source, seed).await?;
        (source, Some(metres))
    } else {
        (source, None)
    };
    let caller = Caller::of(&interfaces::SEGMENT);
    let work = Task::Segment { seed };
    let events = core.submit(caller, source, work, Cancel::default())?;
    Ok((requests::finished(events).await, metres))
}

/// The metres of an image, or why it has none; and the frame that they are of.
async fn metres(
    core: &Arc<Core>,
    request: &Segment::Request,
    source: FrameSource,
    seed: Option<u64>,
) -> Result<(FrameSource, OrWhy<Arc<Metres>>)> {
    if request.image.width > 0 {
        return Ok((source, Err(NO_CAMERA.into())));
    }
    let camera = core.camera(&request.camera)?;
    if let Some(why) = camera.scaling.why_never() {
        return Ok((source, Err(why)));
    }
    let (frame, depth) =
        drawing::draw_depth(core, Caller::of(&interfaces::SEGMENT), source, seed).await?;
    let metres = metric_maps::metres(core, camera, &frame, &depth).await;
    Ok((FrameSource::Pinned(frame), metres.map(Arc::new)))
}

async fn reply(
    core: &Arc<Core>,
    request: &Segment::Request,
    finished: Finished,
    metres: Option<OrWhy<Arc<Metres>>>,
) -> Result<Segment::Response> {
    let header = finished.header();
    let TaskResult::Segmentation(segmentation) = finished.result? else {
        return Err(requests::wrong_outcome());
    };
    let frame = finished.ending.frame.ok_or_else(requests::lost)?;
    // An image of the request's own has no past.
    let camera = match frame.camera.as_str() {
        "" => None,
        name => Some(core.camera(name)?),
    };
    let mut segmentation = match camera {
        Some(camera) => camera.track(segmentation),
        None => segmentation,
    };
    if request.names {
        let caller = Caller::of(&interfaces::SEGMENT);
        // Asked anew: whoever asks wants to know what is there now.
        for region in &mut segmentation.regions {
            region.name = None;
        }
        drawing::name_regions(core, caller, &frame, &mut segmentation).await?;
        if let Some(camera) = camera {
            camera.keep_names(&segmentation);
        }
    }
    let segmentation = Arc::new(segmentation);
    let boxes = match metres {
        None => Ok(BTreeMap::new()),
        Some(Ok(metres)) => metric_maps::boxes(&segmentation, &metres).await,
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
        header: convert::std_header(&header),
        labels: convert::labels_image(&segmentation, &header),
        color: convert::rgb_image(&segmentation.color, &header),
        regions: convert::regions(&segmentation, &boxes),
    })
}
