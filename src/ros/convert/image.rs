//! Pictures that come in: five encodings with row padding, and JPEG or PNG; all else is refused by name.

use image::RgbImage;
use r2r::sensor_msgs::msg::CompressedImage;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;

use crate::error::{Error, Result};
use crate::imaging;
use crate::pipeline::FrameHeader;

/// The encodings of `sensor_msgs/Image` that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// Red, green, blue, opacity: laid over white, as the model does it with pictures in files.
    Rgba8,
    /// Blue, green, red, opacity: the same.
    Bgra8,
    /// Grey.
    Mono8,
}

impl Encoding {
    /// Read the encoding's name in a message.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names it and those that are understood.
    pub fn read(name: &str) -> Result<Self> {
        match name {
            "rgb8" => Ok(Self::Rgb8),
            "bgr8" => Ok(Self::Bgr8),
            "rgba8" => Ok(Self::Rgba8),
            "bgra8" => Ok(Self::Bgra8),
            "mono8" => Ok(Self::Mono8),
            _ => Err(Error::invalid(
                "image",
                format!(
                    "unsupported encoding `{name}`; expected rgb8, bgr8, rgba8, bgra8 or mono8"
                ),
            )),
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
            Self::Mono8 => 1,
        }
    }

    fn rgb(self, pixel: &[u8]) -> [u8; 3] {
        match (self, pixel) {
            (Self::Rgb8, &[r, g, b]) | (Self::Bgr8, &[b, g, r]) => [r, g, b],
            (Self::Rgba8, &[r, g, b, a]) | (Self::Bgra8, &[b, g, r, a]) => {
                [r, g, b].map(|value| over_white(value, a))
            }
            (_, &[grey, ..]) => [grey; 3],
            (_, []) => [0; 3],
        }
    }
}

/// Blend one value over white with Pillow's rounding.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let sum = value * alpha + 255 * (255 - alpha) + 128;
    u8::try_from((sum + (sum >> 8)) >> 8).unwrap_or(u8::MAX)
}

/// Check that a message's sizes and data agree, without touching the pixels.
///
/// # Errors
/// [`Error::InvalidInput`] that says what was expected and what was found.
pub fn check_image(message: &Image) -> Result<Encoding> {
    let encoding = Encoding::read(&message.encoding)?;
    let (width, height) = (message.width, message.height);
    if width == 0 || height == 0 {
        return Err(Error::invalid(
            "image",
            format!("its size is {width}x{height}; expected at least 1x1"),
        ));
    }
    let row = u64::from(width) * encoding.n_bytes() as u64;
    let step = u64::from(message.step);
    if step < row {
        let why = format!(
            "its step is {step}; expected at least {row} ({width} pixels of {})",
            message.encoding
        );
        return Err(Error::invalid("image", why));
    }
    let (expected, got) = (step * u64::from(height), message.data.len() as u64);
    if got < expected {
        let why = format!(
            "its data is truncated: expected {expected} bytes ({height} rows of {step}), got {got}"
        );
        return Err(Error::invalid("image", why));
    }
    Ok(encoding)
}

/// Read the pixels of a message.
///
/// # Errors
/// See [`check_image`].
pub fn rgb_from_image(message: &Image) -> Result<RgbImage> {
    let encoding = check_image(message)?;
    let (step, width) = (message.step as usize, message.width as usize);
    let row_bytes = width * encoding.n_bytes();
    let mut pixels = Vec::with_capacity(3 * width * message.height as usize);
    for row in message
        .data
        .chunks_exact(step)
        .take(message.height as usize)
    {
        let row = row.get(..row_bytes).unwrap_or_default();
        if encoding == Encoding::Rgb8 {
            pixels.extend_from_slice(row);
        } else {
            pixels.extend(
                row.chunks_exact(encoding.n_bytes())
                    .flat_map(|pixel| encoding.rgb(pixel)),
            );
        }
    }
    RgbImage::from_raw(message.width, message.height, pixels)
        .ok_or_else(|| Error::Internal("an image was checked but does not fit its size".into()))
}

/// Decode a compressed message, by its content: `format` is what drivers disagree about.
///
/// # Errors
/// [`Error::InvalidInput`] if it is neither a JPEG nor a PNG, or corrupt.
pub fn rgb_from_compressed(message: &CompressedImage) -> Result<RgbImage> {
    imaging::decode_rgb(&message.data, "compressed image")
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

    fn image(encoding: &str, width: u32, height: u32, step: u32, data: &[u8]) -> Image {
        Image {
            encoding: encoding.into(),
            width,
            height,
            step,
            data: data.into(),
            ..Image::default()
        }
    }

    #[track_caller]
    fn check(message: &Image, expected: &[u8]) {
        assert_eq!(rgb_from_image(message).unwrap().into_raw(), expected);
    }

    #[track_caller]
    fn refused(message: &Image, words: &str) {
        let told = rgb_from_image(message).unwrap_err().to_string();
        assert!(told.contains(words), "{told}");
    }

    #[test]
    fn five_encodings_become_rgb() {
        check(&image("rgb8", 1, 1, 3, &[1, 2, 3]), &[1, 2, 3]);
        check(&image("bgr8", 1, 1, 3, &[1, 2, 3]), &[3, 2, 1]);
        check(
            &image("rgba8", 2, 1, 8, &[1, 2, 3, 255, 1, 2, 3, 0]),
            &[1, 2, 3, 255, 255, 255],
        );
        check(&image("bgra8", 1, 1, 4, &[1, 2, 3, 255]), &[3, 2, 1]);
        check(&image("mono8", 1, 1, 1, &[7]), &[7, 7, 7]);
    }

    #[test]
    fn row_padding_is_skipped() {
        check(
            &image("mono8", 1, 2, 4, &[1, 9, 9, 9, 2, 9, 9, 9]),
            &[1, 1, 1, 2, 2, 2],
        );
    }

    #[test]
    fn opacity_blends_over_white() {
        assert_eq!(over_white(0, 128), 127);
        assert_eq!(over_white(255, 3), 255);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        refused(&image("16UC1", 1, 1, 2, &[0, 0]), "`16UC1`");
        refused(&image("rgb8", 0, 4, 0, &[]), "0x4");
        refused(&image("rgb8", 2, 1, 3, &[0; 6]), "expected at least 6");
        refused(
            &image("rgb8", 1, 2, 3, &[0; 5]),
            "expected 6 bytes (2 rows of 3), got 5",
        );
        refused(
            &image("rgb8", u32::MAX, u32::MAX, u32::MAX, &[]),
            "expected at least",
        );
    }
}
