//! Between ROS messages and the types of the library. Nothing else in the node knows a message's layout.

mod calibration;
mod image;
mod maps;
mod message;
mod metres;

pub use calibration::{Calibration, ImageKind};
pub use image::{check_image, float_image, rgb_from_compressed, rgb_from_image, rgb_image};
pub use maps::{depth_image, labels_image, regions};
pub use message::{frame_header, message_text, point, std_header, vector};
pub use metres::{metres_image, point_cloud, reference_depth};
