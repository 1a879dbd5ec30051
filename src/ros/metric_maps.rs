//! The metric topics of one camera: depth, its CameraInfo and the cloud, which come only when there is a scale.

use std::collections::BTreeMap;
use std::sync::Arc;

use cooper_metric::{Box3d, Cloud};
use cooper_model::perception::{DepthMap, Segmentation, UNLABELED};
use cooper_model::{Error, Result};
use cooper_perception::config::{ScaleSource, interfaces};
use cooper_perception::pipeline::Frame;
use r2r::sensor_msgs::msg::{CameraInfo, Image, PointCloud2};
use r2r::{Node, Publisher};

use super::cameras::Camera;
use super::convert;
use super::metric_scale::{Metres, OrWhy};
use super::requests::Core;
use super::topics::{self, is_wanted, publish};

/// Why the image of a request has no metres.
pub const NO_CAMERA: &str =
    "an image that comes inside a request has no camera to take a scale from";

/// The metric topics of one camera.
pub struct MetricMaps {
    depth: Publisher<Image>,
    camera_info: Publisher<CameraInfo>,
    points: Publisher<PointCloud2>,
}

impl MetricMaps {
    /// Advertise them, if the camera's metres come from somewhere.
    ///
    /// # Errors
    /// [`Error::Internal`] if the middleware refuses one.
    pub fn advertise(node: &mut Node, camera: &Camera) -> Result<Option<Self>> {
        if camera.config.scale_source == ScaleSource::None {
            return Ok(None);
        }
        let name = &camera.config.name;
        Ok(Some(Self {
            depth: topics::publisher(node, &interfaces::DEPTH, name)?,
            camera_info: topics::publisher(node, &interfaces::DEPTH_CAMERA_INFO, name)?,
            points: topics::publisher(node, &interfaces::POINTS, name)?,
        }))
    }

    /// Whether somebody listens to any of them.
    pub fn is_wanted(&self) -> bool {
        is_wanted(&self.depth) || is_wanted(&self.camera_info) || is_wanted(&self.points)
    }

    /// Whether somebody listens to the cloud, which takes a while to make.
    pub fn wants_points(&self) -> bool {
        is_wanted(&self.points)
    }

    /// Publish a frame's metres; without a calibration, only the depth.
    pub fn publish(&self, frame: &Frame, metres: &Metres) {
        let (header, size) = (&frame.header, frame.image.dimensions());
        publish(&self.depth, || {
            let encoding = metres.config.encoding;
            Ok(convert::metres_image(
                &metres.values,
                size,
                encoding,
                header,
            ))
        });
        if let Ok(calibration) = &metres.calibration {
            publish(&self.camera_info, || Ok(calibration.message(header)));
        }
    }

    /// Publish a frame's cloud.
    pub fn publish_points(&self, points: PointCloud2) {
        publish(&self.points, || Ok(points));
    }
}

/// Give a map its metres on a thread that may take its time.
///
/// # Errors
/// Why it has none.
pub async fn metres(
    core: &Arc<Core>,
    camera: &Arc<Camera>,
    frame: &Frame,
    depth: &Arc<DepthMap>,
) -> OrWhy<Metres> {
    let parameters = core.parameters.now();
    let (camera, depth, header) = (camera.clone(), depth.clone(), frame.header.clone());
    let fitted =
        tokio::task::spawn_blocking(move || camera.scaling.metres(&depth, &header, &parameters));
    fitted.await.unwrap_or_else(|error| {
        let error = Error::Internal(format!("the fit of a scale: {error}"));
        tracing::error!("{error}");
        Err(error.to_string())
    })
}

/// The boxes of a frame's regions by id.
///
/// # Errors
/// Why there are none.
pub async fn boxes(
    segmentation: &Arc<Segmentation>,
    metres: &Arc<Metres>,
) -> OrWhy<BTreeMap<u16, Box3d>> {
    let (segmentation, metres) = (segmentation.clone(), metres.clone());
    let made = move || {
        let intrinsics = &metres
            .calibration
            .as_ref()
            .map_err(Clone::clone)?
            .intrinsics;
        let mut found = cooper_metric::boxes(&segmentation.labels, &metres.values, intrinsics);
        found.remove(&UNLABELED);
        Ok(found)
    };
    let made = tokio::task::spawn_blocking(made).await;
    made.unwrap_or_else(|error| {
        let error = Error::Internal(format!("the boxes of regions: {error}"));
        tracing::error!("{error}");
        Err(error.to_string())
    })
}

/// A frame's cloud, if its camera is known.
pub async fn points(frame: &Arc<Frame>, metres: &Arc<Metres>) -> Option<PointCloud2> {
    let (frame, metres) = (frame.clone(), metres.clone());
    let made = move || -> Option<Result<PointCloud2>> {
        let intrinsics = &metres.calibration.as_ref().ok()?.intrinsics;
        let cloud = Cloud::new(&metres.values, &frame.image, intrinsics);
        Some(
            cloud
                .map(|cloud| convert::point_cloud(cloud, &frame.header))
                .map_err(Into::into),
        )
    };
    match tokio::task::spawn_blocking(made).await {
        Ok(Some(Ok(points))) => Some(points),
        Ok(None) => None,
        Ok(Some(Err(error))) => {
            tracing::warn!("no cloud: {error}");
            None
        }
        Err(error) => {
            tracing::error!("no cloud: {error}");
            None
        }
    }
}
