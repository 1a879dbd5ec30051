//! Metric depth that goes out, and the reference depth that comes in.

use cooper_imaging::{FrameHeader, Result};
use cooper_metric::{Cloud, DepthBytes, ReferenceDepth, millimetres};
use cooper_perception::config::DepthEncoding;
use nalgebra::{Point3, Vector3};
use r2r::geometry_msgs::msg::{Point, Vector3 as Vector3Msg};
use r2r::sensor_msgs::msg::{Image, PointCloud2, PointField};

use super::maps::{float_image, plain, std_header};

/// Read a depth image.
///
/// # Errors
/// See [`ReferenceDepth::read`].
pub fn reference_depth(message: &Image) -> Result<ReferenceDepth> {
    ReferenceDepth::read(&DepthBytes {
        encoding: &message.encoding,
        width: message.width,
        height: message.height,
        step: message.step,
        is_bigendian: message.is_bigendian != 0,
        data: &message.data,
    })
}

/// Metres as 32FC1, or as 16UC1 in millimetres.
pub fn metres_image(
    metres: &[f32],
    size: (u32, u32),
    encoding: DepthEncoding,
    header: &FrameHeader,
) -> Image {
    match encoding {
        DepthEncoding::Metres => float_image(metres, size, header),
        DepthEncoding::Millimetres => {
            let bytes = millimetres(metres).into_iter().flat_map(u16::to_le_bytes);
            plain(header, size, "16UC1", bytes.collect())
        }
    }
}

/// A place in metres; NaN if there is none.
pub fn point(place: Option<Point3<f64>>) -> Point {
    let Point3 { coords: p } = place.unwrap_or(Point3::from([f64::NAN; 3]));
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

/// A cloud with its fields described.
pub fn point_cloud(cloud: Cloud, header: &FrameHeader) -> PointCloud2 {
    let field = |(name, offset): (&str, u32)| PointField {
        name: name.into(),
        offset,
        datatype: PointField::FLOAT32 as u8,
        count: 1,
    };
    PointCloud2 {
        header: std_header(header),
        height: cloud.height,
        width: cloud.width,
        fields: Cloud::FIELDS.into_iter().map(field).collect(),
        is_bigendian: false,
        point_step: Cloud::POINT_STEP,
        row_step: cloud.row_step(),
        data: cloud.data,
        is_dense: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read_again() {
        let (metres, header) = ([0.5, f32::NAN, 2.0, 7.25], FrameHeader::default());
        for encoding in [DepthEncoding::Metres, DepthEncoding::Millimetres] {
            let message = metres_image(&metres, (2, 2), encoding, &header);
            let again = reference_depth(&message).unwrap();
            assert_eq!((again.width, again.height, again.n_valid), (2, 2, 3));
            assert_eq!(again.metres[2..], metres[2..]);
        }
    }
}
