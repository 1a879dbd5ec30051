//! Recordings without ROS: camera topics of a bag (MCAP) or of a folder of images, and bags that are written.
//!
//! Knows `sensor_msgs` as bytes (CDR), and neither the model nor the node's own messages. Start at [`Input`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod cameras;
mod cdr;
mod chunk;
mod damage;
mod image_folder;
mod input;
mod mcap_file;
mod messages;
mod output;
mod rate_limiter;
mod record;
pub mod schemas;

pub use cameras::{Camera, DEFAULT_NAME, Look, NODE, Transport, choose};
pub use cdr::{CdrReader, CdrWriter};
pub use damage::Damage;
pub use image_folder::ImageFolder;
pub use input::{Input, Messages, Survey, Topic};
pub use mcap_file::{BagMessage, McapFile};
pub use messages::{CompressedImage, Image, write_header};
pub use output::{Output, Times};
pub use rate_limiter::RateLimiter;
pub use schemas::MessageType;
