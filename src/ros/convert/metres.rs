//! Outgoing metric depth, and incoming reference depth.

use cooper_imaging::{FrameHeader, Result};
use cooper_metric::{Cloud, DepthBytes, ReferenceDepth, millimetres};
use cooper_perception::config::DepthEncoding;
use r2r::sensor_msgs::msg::{Image, PointCloud2, PointField};

use super::image::{float_image, image_message};
use super::message::std_header;

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
            image_message(header, size, "16UC1", bytes.collect())
        }
    }
}

/// A cloud as a message.
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
    fn both_encodings_survive_a_round_trip() {
        let (metres, header) = ([0.5, f32::NAN, 2.0, 7.25], FrameHeader::default());
        for encoding in [DepthEncoding::Metres, DepthEncoding::Millimetres] {
            let message = metres_image(&metres, (2, 2), encoding, &header);
            let read = reference_depth(&message).unwrap();
            assert_eq!((read.width, read.height, read.n_valid), (2, 2, 3));
            assert_eq!(read.metres[2..], metres[2..]);
        }
    }
}
