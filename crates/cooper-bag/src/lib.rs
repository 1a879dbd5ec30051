//! Recordings without ROS: reads camera topics of a bag (MCAP) or of a folder of images, and writes bags.
//!
//! - It knows files and `sensor_msgs` as bytes (CDR). It must never know the model, or the messages of the node.
//! - Start at [`Input::find`]: [`Input::survey`] lists the topics, [`select_cameras`] picks the cameras, [`Input::messages`] reads,
//!   and [`Output`] writes.
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
mod topic;

pub use cameras::{Camera, DEFAULT_NAME, NODE, select_cameras};
pub use cdr::{CdrReader, CdrWriter};
pub use damage::Damage;
pub use image_folder::ImageFolder;
pub use input::{Input, Messages, Survey};
pub use mcap_file::{BagMessage, McapFile};
pub use messages::{CompressedImage, Image, write_header};
pub use output::{Output, Times};
pub use rate_limiter::RateLimiter;
pub use schemas::MessageType;
pub use topic::{Topic, TopicContent, Transport};
