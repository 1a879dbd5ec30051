//! Every topic, service and action of the node, named once; `N` stands for a camera's name.
//!
//! Plain data: docs/interfaces.md is held against it without a running ROS.

/// How an interface is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A topic that the node reads.
    Subscribed,
    /// A topic that the node writes.
    Published,
    /// A service that the node offers.
    Service,
    /// An action that the node offers.
    Action,
}

/// The quality of service of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Best effort, or reliable where `cameras.N.reliability` says so; the newest message only.
    Sensor,
    /// Reliable; the newest so many messages are kept for slow readers.
    Reliable(usize),
    /// Reliable, and kept for readers that come later.
    Latched(usize),
    /// ROS's default, which actions have.
    Default,
}

/// One topic, service or action.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// How it is used.
    pub kind: Kind,
    /// Relative or private name, with `N` for the camera.
    pub name: &'static str,
    /// Package and type, as ROS's tools write them.
    pub type_name: &'static str,
    /// Quality of service.
    pub quality: Quality,
    /// What it carries.
    pub description: &'static str,
}

impl Interface {
    /// The name for one camera.
    pub fn of(&self, camera: &str) -> String {
        match self.name.strip_prefix("~/N/") {
            Some(rest) => format!("~/{camera}/{rest}"),
            None => match self.name.strip_prefix("N/") {
                Some(rest) => format!("{camera}/{rest}"),
                None => self.name.into(),
            },
        }
    }
}

const fn subscribed(
    name: &'static str,
    type_name: &'static str,
    description: &'static str,
) -> Interface {
    Interface {
        kind: Kind::Subscribed,
        name,
        type_name,
        quality: Quality::Sensor,
        description,
    }
}

const fn published(
    name: &'static str,
    type_name: &'static str,
    quality: Quality,
    description: &'static str,
) -> Interface {
    Interface {
        kind: Kind::Published,
        name,
        type_name,
        quality,
        description,
    }
}

/// The calls of a service that the middleware keeps until the node takes them; ROS's default, 10, is lost in a burst.
const MAX_CALLS: usize = 1000;

const fn service(
    name: &'static str,
    type_name: &'static str,
    description: &'static str,
) -> Interface {
    Interface {
        kind: Kind::Service,
        name,
        type_name,
        quality: Quality::Reliable(MAX_CALLS),
        description,
    }
}

/// A camera's image.
pub const IMAGE: Interface = subscribed(
    "N/image_raw",
    "sensor_msgs/msg/Image",
    "The camera's images: rgb8, bgr8, rgba8, bgra8, mono8, mono16, yuv422, yuv422_yuy2, nv12 or bayer_*.",
);
/// The same, compressed.
pub const COMPRESSED: Interface = subscribed(
    "N/image_raw/compressed",
    "sensor_msgs/msg/CompressedImage",
    "Read in its place when cameras.N.transport is compressed: JPEG or PNG.",
);
/// A camera's calibration.
pub const CAMERA_INFO: Interface = subscribed(
    "N/camera_info",
    "sensor_msgs/msg/CameraInfo",
    "The camera's calibration; the last one is kept.",
);
/// Depth that a scale is taken from.
pub const DEPTH_REFERENCE: Interface = subscribed(
    "N/depth_reference",
    "sensor_msgs/msg/Image",
    "Depth registered to the camera, 16UC1 or 32FC1, dense or sparse; read where cameras.N.scale.source is depth.",
);
/// Relative depth.
pub const DEPTH_RELATIVE: Interface = published(
    "~/N/depth_relative/image",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "Relative depth, 32FC1: 0 near to 1 far, NaN invalid.",
);
/// Depth in colours.
pub const DEPTH_COLOR: Interface = published(
    "~/N/depth/color",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "Relative depth in colours, rgb8.",
);
/// How much maps of other seeds agree.
pub const DEPTH_CONFIDENCE: Interface = published(
    "~/N/depth/confidence",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "How far maps with different seeds agree, 32FC1 in [0, 1]: 1 where all are the same.",
);
/// Metric depth.
pub const DEPTH: Interface = published(
    "~/N/depth/image",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "Metric depth along z, 32FC1 in metres, NaN invalid (or 16UC1, see depth.encoding); only with a good scale.",
);
/// The camera of metric depth.
pub const DEPTH_CAMERA_INFO: Interface = published(
    "~/N/depth/camera_info",
    "sensor_msgs/msg/CameraInfo",
    Quality::Reliable(1),
    "The calibration of metric depth, with its stamp and its size.",
);
/// Points.
pub const POINTS: Interface = published(
    "~/N/points",
    "sensor_msgs/msg/PointCloud2",
    Quality::Reliable(1),
    "Metric depth as an organised cloud of x, y, z and rgb in the camera's optical frame.",
);
/// Segmentation in colours.
pub const SEGMENTATION_COLOR: Interface = published(
    "~/N/segmentation/color",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "Each region in its colour, rgb8.",
);
/// Segmentation as region ids.
pub const SEGMENTATION_LABELS: Interface = published(
    "~/N/segmentation/labels",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "Region ids: mono8 (255 unlabelled), or mono16 (65535) with more than 255 regions.",
);
/// What region ids stand for.
pub const LABEL_INFO: Interface = published(
    "~/N/segmentation/label_info",
    "vision_msgs/msg/LabelInfo",
    Quality::Latched(1),
    "Region ids with their names where known (see segmentation.names); only in a build that found vision_msgs.",
);
/// The image with its regions.
pub const OVERLAY: Interface = published(
    "~/N/overlay",
    "sensor_msgs/msg/Image",
    Quality::Reliable(1),
    "The image with its regions laid over it, rgb8.",
);
/// Regions in 3D, and answers.
pub const MARKERS: Interface = published(
    "~/markers",
    "visualization_msgs/msg/MarkerArray",
    Quality::Reliable(1),
    "Regions as 3D boxes with their names and distances, where the camera has a metric scale; each camera's newest answer as text.",
);
/// Answers.
pub const ANSWER: Interface = published(
    "~/answer",
    "cooper_perception/msg/Answer",
    Quality::Reliable(10),
    "Every finished question, whichever way it was asked.",
);
/// Diagnostics.
pub const DIAGNOSTICS: Interface = published(
    "/diagnostics",
    "diagnostic_msgs/msg/DiagnosticArray",
    Quality::Reliable(10),
    "Once per second: the model, each camera and each camera's scale, with the reason why it is silent, and the traces.",
);
/// Log messages.
pub const ROSOUT: Interface = published(
    "/rosout",
    "rcl_interfaces/msg/Log",
    Quality::Latched(1000),
    "The node's log.",
);
/// A question.
pub const ASK: Interface = service(
    "~/ask",
    "cooper_perception/srv/Ask",
    "Ask a question about an image and wait for the answer.",
);
/// A typed question.
pub const MEASURE: Interface = service(
    "~/measure",
    "cooper_perception/srv/Measure",
    "Ask for a distance, a size, a relation, an order, a count or a place; the answer is checked against the maps.",
);
/// A depth map.
pub const ESTIMATE_DEPTH: Interface = service(
    "~/estimate_depth",
    "cooper_perception/srv/EstimateDepth",
    "Estimate the depth of an image.",
);
/// A segmentation.
pub const SEGMENT: Interface = service(
    "~/segment",
    "cooper_perception/srv/Segment",
    "Segment an image into regions.",
);
/// The state of everything.
pub const GET_STATUS: Interface = service(
    "~/get_status",
    "cooper_perception/srv/GetStatus",
    "The state of the model and of each camera; answers at once.",
);
/// The model comes back.
pub const LOAD_MODEL: Interface = service(
    "~/load_model",
    "std_srvs/srv/Trigger",
    "Load the model as model.* say now; replies when it is ready, or why it cannot be.",
);
/// The model goes.
pub const UNLOAD_MODEL: Interface = service(
    "~/unload_model",
    "std_srvs/srv/Trigger",
    "Free the model's memory; replies when it is free.",
);
/// A question with streamed thoughts.
pub const REASON: Interface = Interface {
    kind: Kind::Action,
    name: "~/reason",
    type_name: "cooper_perception/action/Reason",
    quality: Quality::Default,
    description: "Ask a question; thoughts and maps come as feedback; may be canceled and may have a time budget.",
};

/// All of them, in the order of the documentation.
pub const INTERFACES: &[Interface] = &[
    IMAGE,
    COMPRESSED,
    CAMERA_INFO,
    DEPTH_REFERENCE,
    DEPTH_RELATIVE,
    DEPTH_COLOR,
    DEPTH_CONFIDENCE,
    DEPTH,
    DEPTH_CAMERA_INFO,
    POINTS,
    SEGMENTATION_COLOR,
    SEGMENTATION_LABELS,
    LABEL_INFO,
    OVERLAY,
    MARKERS,
    ANSWER,
    DIAGNOSTICS,
    ROSOUT,
    ASK,
    MEASURE,
    ESTIMATE_DEPTH,
    SEGMENT,
    GET_STATUS,
    LOAD_MODEL,
    UNLOAD_MODEL,
    REASON,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_name_takes_the_place_of_n() {
        assert_eq!(IMAGE.of("left"), "left/image_raw");
        assert_eq!(OVERLAY.of("front/left"), "~/front/left/overlay");
        assert_eq!(ANSWER.of("left"), "~/answer");
    }
}
