//! The definitions of messages that are written, in MCAP's schema encoding `ros2msg`.
//!
//! A definition is followed by those of the messages in it, each behind a line of 80 `=` and its name.

/// A message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// Package and name, as ROS's tools write them.
    pub name: &'static str,
    /// Its own definition.
    pub definition: &'static str,
    /// The names and definitions of all messages in it.
    pub parts: &'static [(&'static str, &'static str)],
}

/// How schemas are written.
pub const ENCODING: &str = "ros2msg";
/// How messages are written.
pub const MESSAGE_ENCODING: &str = "cdr";

/// `sensor_msgs/msg/Image`.
pub const IMAGE: MessageType = MessageType {
    name: "sensor_msgs/msg/Image",
    definition: IMAGE_DEFINITION,
    parts: &[HEADER, TIME],
};
/// The name of `sensor_msgs/msg/CompressedImage`, which is only read.
pub const COMPRESSED_IMAGE: &str = "sensor_msgs/msg/CompressedImage";
/// The definition of `sensor_msgs/msg/Image`.
pub const IMAGE_DEFINITION: &str = "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n\
                                uint8 is_bigendian\nuint32 step\nuint8[] data\n";
/// `std_msgs/Header` and its definition.
pub const HEADER: (&str, &str) = (
    "std_msgs/Header",
    "builtin_interfaces/Time stamp\nstring frame_id\n",
);
/// `builtin_interfaces/Time` and its definition.
pub const TIME: (&str, &str) = ("builtin_interfaces/Time", "int32 sec\nuint32 nanosec\n");

impl MessageType {
    /// The definition with all that it contains.
    pub fn schema(&self) -> String {
        let mut text = self.definition.to_owned();
        for (name, definition) in self.parts {
            text += &format!("{}\nMSG: {name}\n{definition}", "=".repeat(80));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_holds_all_that_it_names() {
        let separator = "=".repeat(80);
        for message in [IMAGE] {
            let schema = message.schema();
            let parts: Vec<&str> = schema.split(&format!("{separator}\n")).collect();
            assert_eq!(parts.len(), 1 + message.parts.len(), "{schema}");
            assert!(parts[0].contains("std_msgs/Header header"));
            let [.., header, time] = parts.as_slice() else {
                panic!("{schema}");
            };
            assert!(header.starts_with("MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\n"));
            assert!(time.starts_with("MSG: builtin_interfaces/Time\nint32 sec\n"));
            // Every type with a package is one of the parts.
            for line in parts.iter().flat_map(|part| part.lines().skip(1)) {
                let kind = line.split([' ', '[']).next().unwrap();
                let known = message.parts.iter().any(|(name, _)| *name == kind);
                assert!(known || !kind.contains('/'), "{line}");
            }
        }
    }
}
