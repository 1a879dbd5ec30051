//! Images in both directions: incoming ones in the encodings of [`cooper_imaging::Encoding`] or as JPEG or PNG, outgoing
//! ones without padding.

use cooper_imaging::{Encoding, FrameHeader, RawImage, Result};
use image::RgbImage;
use r2r::sensor_msgs::msg::{CompressedImage, Image};

use super::message::std_header;

/// Check that a message's sizes and data agree, without touching the pixels.
///
/// # Errors
/// See [`RawImage::check`].
pub fn check_image(message: &Image) -> Result<Encoding> {
    raw_image(message).check()
}

/// Read the pixels of a message.
///
/// # Errors
/// See [`RawImage::to_rgb`].
pub fn rgb_from_image(message: &Image) -> Result<RgbImage> {
    raw_image(message).to_rgb()
}

fn raw_image(message: &Image) -> RawImage<'_> {
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
/// [`cooper_imaging::Error::InvalidInput`] if it is neither a JPEG nor a PNG, or corrupt.
pub fn rgb_from_compressed(message: &CompressedImage) -> Result<RgbImage> {
    cooper_imaging::decode_rgb(&message.data, "compressed image")
}

/// An image as rgb8.
pub fn rgb_image(image: &RgbImage, header: &FrameHeader) -> Image {
    image_message(header, image.dimensions(), "rgb8", image.as_raw().clone())
}

/// Numbers of an image of `size` (width, height) as 32FC1.
pub fn float_image(values: &[f32], size: (u32, u32), header: &FrameHeader) -> Image {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    image_message(header, size, "32FC1", bytes.collect())
}

/// An image message of `size` (width, height) with this data, whose rows have no padding.
pub(super) fn image_message(
    header: &FrameHeader,
    (width, height): (u32, u32),
    encoding: &str,
    data: Vec<u8>,
) -> Image {
    let step = u32::try_from(data.len()).unwrap_or(u32::MAX) / height.max(1);
    Image {
        header: std_header(header),
        height,
        width,
        encoding: encoding.into(),
        is_bigendian: 0,
        step,
        data,
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
    fn the_fields_of_a_message_are_read() {
        let message = image("mono8", &[7, 8, 99, 99, 99, 99]);
        assert_eq!(check_image(&message).unwrap(), Encoding::Mono8);
        let rgb = rgb_from_image(&message).unwrap();
        assert_eq!(rgb.dimensions(), (2, 1));
        assert_eq!(rgb.into_raw(), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn big_endian_messages_are_read() {
        let mut message = image("mono16", &[7, 0, 8, 0, 99, 99]);
        message.is_bigendian = 1;
        let rgb = rgb_from_image(&message).unwrap();
        assert_eq!(rgb.into_raw(), [7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn both_functions_reject_what_does_not_fit() {
        let messages = [
            check_image(&image("16UC1", &[0; 6])).unwrap_err(),
            rgb_from_image(&image("rgb8", &[0; 5])).unwrap_err(),
        ]
        .map(|error| error.to_string());
        assert!(messages[0].starts_with("image: unsupported encoding `16UC1`: it is depth"));
        assert_eq!(
            messages[1],
            "image: its data is truncated: expected 6 bytes (1 rows of 6), got 5"
        );
    }
}
