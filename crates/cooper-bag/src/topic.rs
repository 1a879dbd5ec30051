//! A topic of a recording, and whether its messages are images.

use cooper_imaging::Error;
use mcap::Channel;

use super::mcap_file::BagMessage;
use super::messages::{CompressedImage, Image};
use super::schemas;

/// The first bytes of a message that rosbag2 has compressed (its compression mode `message`).
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// What a topic's messages hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicContent {
    /// Another type of message.
    Other,
    /// Images that can be read.
    Image(Transport),
    /// Images that cannot be used, and why.
    Unusable(String),
}

/// The message type of a camera's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// `sensor_msgs/msg/Image`.
    Raw,
    /// `sensor_msgs/msg/CompressedImage`.
    Compressed,
}

/// A topic of an input.
#[derive(Clone, Debug)]
pub struct Topic {
    /// The message type, or `unknown`.
    pub type_name: String,
    /// How its messages are written.
    pub message_encoding: String,
    /// When each message was recorded, nanoseconds.
    pub log_times: Vec<u64>,
    /// What its messages hold.
    pub content: TopicContent,
}

/// Find out what a message holds. The pixels of a compressed image are decoded.
pub(super) fn inspect(message: &BagMessage) -> TopicContent {
    let name = type_name(&message.channel);
    let encoding = &message.channel.message_encoding;
    let transport = match name.as_str() {
        // The names of ROS 1, too, so that the reason names the encoding.
        "sensor_msgs/msg/Image" | "sensor_msgs/Image" => Transport::Raw,
        schemas::COMPRESSED_IMAGE | "sensor_msgs/CompressedImage" => Transport::Compressed,
        _ => return TopicContent::Other,
    };
    if encoding != schemas::MESSAGE_ENCODING {
        return TopicContent::Unusable(format!(
            "expected messages in the encoding cdr (ROS 2), got {encoding}"
        ));
    }
    if message.data.starts_with(ZSTD) {
        return TopicContent::Unusable(
            "its messages are compressed one by one; convert the bag with `ros2 bag convert`"
                .into(),
        );
    }
    let checked = match transport {
        Transport::Raw => {
            Image::read(&message.data).and_then(|image| image.raw().check().map(|_| ()))
        }
        Transport::Compressed => CompressedImage::read(&message.data).and_then(|image| {
            if image.format.contains("compressedDepth") {
                let why = format!(
                    "expected an image, got depth: its format is `{}`",
                    image.format
                );
                return Err(Error::invalid("compressed image", why));
            }
            image.to_rgb().map(|_| ())
        }),
    };
    match checked {
        Ok(()) => TopicContent::Image(transport),
        Err(error) => TopicContent::Unusable(error.to_string()),
    }
}

/// The type of a channel's messages.
pub(super) fn type_name(channel: &Channel<'_>) -> String {
    match &channel.schema {
        Some(schema) => schema.name.clone(),
        None => "unknown".into(),
    }
}
