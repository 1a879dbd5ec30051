//! Images that come in: the encodings of [`imaging::Encoding`], and JPEG or PNG; all else is refused by name.

use cooper_imaging::{Encoding, FrameHeader, RawImage, Result};
use image::RgbImage;
use r2r::sensor_msgs::msg::{CompressedImage, Image};
use r2r::std_msgs::msg::Header;

/// Check that a message's sizes and data agree, without touching the pixels.
///
/// # Errors
/// See [`RawImage::check`].
pub fn check_image(message: &Image) -> Result<Encoding> {
    raw(message).check()
}

/// Read the pixels of a message.
///
/// # Errors
/// See [`RawImage::to_rgb`].
pub fn rgb_from_image(message: &Image) -> Result<RgbImage> {
    raw(message).to_rgb()
}

fn raw(message: &Image) -> RawImage<'_> {
    RawImage {
        width: message.width,
        height: message.height,
        step: message.step,
        encoding: &message.encoding,
        is_bigendian: message.is_bigendian != 0,
        data: &message.data,
    }
}

/// Decode a compressed message, by its content: `format` is what drivers disagree about.
///
/// # Errors
/// [`Error::InvalidInput`] if it is neither a JPEG nor a PNG, or corrupt.
pub fn rgb_from_compressed(message: &CompressedImage) -> Result<RgbImage> {
    cooper_imaging::decode_rgb(&message.data, "compressed image")
}

/// A message's header as the crate's own.
pub fn header_of(header: &Header) -> FrameHeader {
    FrameHeader {
        stamp_secs: header.stamp.sec,
        stamp_nanos: header.stamp.nanosec,
        frame_id: header.frame_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(encoding: &str, data: &[u8]) -> Image {
        Image {
            encoding: encoding.into(),
            width: 2,
            height: 1,
            step: 6,
            data: data.into(),
            ..Image::default()
        }
    }

    #[test]
    fn a_messages_fields_arrive() {
        let message = image("mono8", &[7, 8, 99, 99, 99, 99]);
        assert_eq!(check_image(&message).unwrap(), Encoding::Mono8);
        let rgb = rgb_from_image(&message).unwrap();
        assert_eq!(rgb.dimensions(), (2, 1));
        assert_eq!(rgb.into_raw(), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn big_endian_messages_are_read_so() {
        let mut message = image("mono16", &[7, 0, 8, 0, 99, 99]);
        message.is_bigendian = 1;
        let rgb = rgb_from_image(&message).unwrap();
        assert_eq!(rgb.into_raw(), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn both_functions_refuse_what_does_not_fit() {
        let told = [
            check_image(&image("16UC1", &[0; 6])).unwrap_err(),
            rgb_from_image(&image("rgb8", &[0; 5])).unwrap_err(),
        ]
        .map(|error| error.to_string());
        assert!(told[0].starts_with("image: unsupported encoding `16UC1`: it is depth"));
        assert_eq!(
            told[1],
            "image: its data is truncated: expected 6 bytes (1 rows of 6), got 5"
        );
    }
}
