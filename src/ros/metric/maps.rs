//! The metric topics of one camera: depth, its CameraInfo and the cloud. They are published only while there is a scale.

use std::collections::BTreeMap;
use std::sync::Arc;

use cooper_metric::{Box3d, Cloud};
use cooper_model::perception::{DepthMap, Segmentation, UNLABELED};
use cooper_model::{Error, Result};
use cooper_perception::config::{CameraConfig, ParameterSet, ScaleSource, interfaces};
use cooper_perception::pipeline::Frame;
use r2r::sensor_msgs::msg::{CameraInfo, Image, PointCloud2};
use r2r::{Node, Publisher};

use super::metres::{MetricDepth, MetricResult};
use super::scale::MetricScale;
use crate::convert;
use crate::topics::{self, has_subscribers, publish};

/// Why the image of a request has no metres.
pub const NO_CAMERA: &str = "an image inside a request has no camera to take a scale from";

/// The metric topics of one camera.
pub struct MetricMaps {
    depth: Publisher<Image>,
    camera_info: Publisher<CameraInfo>,
    points: Publisher<PointCloud2>,
}

impl MetricMaps {
    /// Advertise them; none for a camera without a source of metres.
    ///
    /// # Errors
    /// [`Error::Internal`] if the middleware rejects one.
    pub fn advertise(node: &mut Node, camera: &CameraConfig) -> Result<Option<Self>> {
        if camera.scale_source == ScaleSource::None {
            return Ok(None);
        }
        let name = &camera.name;
        Ok(Some(Self {
            depth: topics::publisher(node, &interfaces::DEPTH, name)?,
            camera_info: topics::publisher(node, &interfaces::DEPTH_CAMERA_INFO, name)?,
            points: topics::publisher(node, &interfaces::POINTS, name)?,
        }))
    }

    /// Whether any of them has a subscriber.
    pub fn has_subscribers(&self) -> bool {
        has_subscribers(&self.depth)
            || has_subscribers(&self.camera_info)
            || has_subscribers(&self.points)
    }

    /// Whether the cloud, which takes a while to make, has a subscriber.
    pub fn needs_points(&self) -> bool {
        has_subscribers(&self.points)
    }

    /// Publish a frame's metric depth, and its CameraInfo where there is one.
    pub fn publish(&self, frame: &Frame, metres: &MetricDepth) {
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

/// Fit a map to metres on a blocking thread, see [`MetricScale::fit`].
///
/// # Errors
/// Why the map has no metres.
pub async fn fit(
    scale: &Arc<MetricScale>,
    frame: &Frame,
    depth: &Arc<DepthMap>,
    parameters: ParameterSet,
) -> MetricResult<MetricDepth> {
    let (scale, depth, header) = (scale.clone(), depth.clone(), frame.header.clone());
    let fitted = tokio::task::spawn_blocking(move || scale.fit(&depth, &header, &parameters));
    fitted.await.unwrap_or_else(|error| {
        let error = Error::Internal(format!("cannot fit a metric scale: {error}"));
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
    metres: &Arc<MetricDepth>,
) -> MetricResult<BTreeMap<u16, Box3d>> {
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
        let error = Error::Internal(format!("cannot make boxes of regions: {error}"));
        tracing::error!("{error}");
        Err(error.to_string())
    })
}

/// A frame's cloud; none without a calibration.
pub async fn points(frame: &Arc<Frame>, metres: &Arc<MetricDepth>) -> Option<PointCloud2> {
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
            tracing::warn!("cannot make a point cloud: {error}");
            None
        }
        Err(error) => {
            tracing::error!("cannot make a point cloud: {error}");
            None
        }
    }
}
