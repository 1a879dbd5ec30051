//! Recordings without ROS: a bag (MCAP) or a folder of pictures is read, and the node's topics are written as a bag.

mod cameras;
mod cdr;
mod chunk;
mod damage;
mod input;
mod mcap_file;
mod messages;
mod output;
mod pace;
mod pictures;
mod record;
mod schemas;

pub use cameras::{Camera, DEFAULT_NAME, Look, Transport, choose};
pub use cdr::{CdrReader, CdrWriter};
pub use damage::Damage;
pub use input::{Input, Messages, Survey, Topic};
pub use mcap_file::{BagMessage, McapFile};
pub use messages::{Answer, CompressedImage, Image};
pub use output::{Output, Times, node_topics};
pub use pace::Pace;
pub use pictures::Pictures;
pub use schemas::{ANSWER, COMPRESSED_IMAGE, ENCODING, IMAGE, MessageType};
