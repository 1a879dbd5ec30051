//! Between ROS messages and the crate's own types; nothing else in the crate knows a message's layout.

mod calibration;
mod image;
mod maps;
mod metres;

pub use calibration::Calibration;
pub use image::{check_image, header_of, rgb_from_compressed, rgb_from_image};
pub use maps::{
    depth_image, float_image, labels_image, message_text, regions, rgb_image, std_header,
};
pub use metres::{metres_image, point, point_cloud, reference_depth, vector};
