//! Headers, texts and points, of which all messages are made.

use cooper_imaging::FrameHeader;
use nalgebra::{Point3, Vector3};
use r2r::builtin_interfaces::msg::Time;
use r2r::geometry_msgs::msg::{Point, Vector3 as Vector3Msg};
use r2r::std_msgs::msg::Header;

/// The header of a message with this frame's stamp and frame id.
pub fn std_header(header: &FrameHeader) -> Header {
    Header {
        stamp: Time {
            sec: header.stamp_secs,
            nanosec: header.stamp_nanos,
        },
        frame_id: header.frame_id.clone(),
    }
}

/// The frame header of a message.
pub fn frame_header(header: &Header) -> FrameHeader {
    FrameHeader {
        stamp_secs: header.stamp.sec,
        stamp_nanos: header.stamp.nanosec,
        frame_id: header.frame_id.clone(),
    }
}

/// A text that a message can carry: r2r panics on a NUL, which a model may well write.
pub fn message_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A point in metres; NaN if there is none.
pub fn point(point: Option<Point3<f64>>) -> Point {
    let Point3 { coords: p } = point.unwrap_or(Point3::from([f64::NAN; 3]));
    Point {
        x: p.x,
        y: p.y,
        z: p.z,
    }
}

/// Extents in metres; NaN if there are none.
pub fn vector(extents: Option<Vector3<f64>>) -> Vector3Msg {
    let v = extents.unwrap_or(Vector3::repeat(f64::NAN));
    Vector3Msg {
        x: v.x,
        y: v.y,
        z: v.z,
    }
}
