//! `~/segment`: regions, on request with their names and, where the camera has a metric scale, with 3D boxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use r2r::cooper_perception::srv::Segment;

use super::codes;
use super::convert;
use super::drawing;
use super::metric_maps;
use super::requests::{self, Core, Finished};
use super::services;
use crate::error::Result;
use crate::metric::Box3d;
use crate::perception::Segmentation;
use crate::pipeline::Frame;
use crate::pipeline::FrameSource;
use crate::pipeline::Outcome;
use crate::pipeline::Priority;
use crate::pipeline::Work;

/// Answer a request.
pub async fn segment(core: Arc<Core>, request: Segment::Request) -> Segment::Response {
    let (camera, image, seed) = (&request.camera, &request.image, request.seed);
    let finished = services::map(&core, camera, image, seed, |seed| Work::Segment { seed }).await;
    let header = convert::std_header(&finished.header());
    reply(&core, &request, finished)
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

async fn reply(
    core: &Arc<Core>,
    request: &Segment::Request,
    finished: Finished,
) -> Result<Segment::Response> {
    let header = finished.header();
    let Outcome::Segmentation(segmentation) = finished.result? else {
        return Err(requests::wrong_outcome());
    };
    let frame = finished.frame.ok_or_else(requests::lost)?;
    // A picture of the request's own has no past.
    let camera = match frame.camera.as_str() {
        "" => None,
        name => Some(core.camera(name)?),
    };
    let mut segmentation = match camera {
        Some(camera) => camera.track(segmentation),
        None => segmentation,
    };
    if request.names {
        // Asked anew: whoever asks wants to know what is there now.
        for region in &mut segmentation.regions {
            region.name = None;
        }
        drawing::name_regions(core, &frame, &mut segmentation, Priority::Query).await?;
        if let Some(camera) = camera {
            camera.keep_names(&segmentation);
        }
    }
    let segmentation = Arc::new(segmentation);
    let (boxes, remark) = if request.boxes {
        match boxes(core, &frame, &segmentation, request.seed).await? {
            Ok(boxes) => (boxes, String::new()),
            Err(why) => (BTreeMap::new(), format!("no boxes: {why}")),
        }
    } else {
        Default::default()
    };
    Ok(Segment::Response {
        success: true,
        message: convert::message_text(&remark),
        error_code: codes::NONE,
        header: convert::std_header(&header),
        labels: convert::labels_image(&segmentation, &header),
        color: convert::rgb_image(&segmentation.color, &header),
        regions: convert::regions(&segmentation, &boxes),
    })
}

/// The boxes of a frame's regions, from a depth map of the same frame; or why there are none.
async fn boxes(
    core: &Arc<Core>,
    frame: &Arc<Frame>,
    segmentation: &Arc<Segmentation>,
    seed: i64,
) -> Result<std::result::Result<BTreeMap<u16, Box3d>, String>> {
    let camera = match frame.camera.as_str() {
        "" => {
            let why = "a picture that comes inside a request has no camera to take a scale from";
            return Ok(Err(why.into()));
        }
        name => core.camera(name)?,
    };
    if let Some(why) = camera.scaling.why_never() {
        return Ok(Err(why));
    }
    let (source, seed) = (FrameSource::Pinned(frame.clone()), requests::seed_of(seed)?);
    let (frame, depth) = drawing::draw_depth(core, source, seed, Priority::Query).await?;
    Ok(
        match metric_maps::metres(core, camera, &frame, &depth).await {
            Ok(metres) => metric_maps::boxes(segmentation, &Arc::new(metres)).await,
            Err(why) => Err(why),
        },
    )
}
