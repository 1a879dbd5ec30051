//! Uncompressed images as cameras send them (`sensor_msgs/Image`, without ROS), decoded to RGB.
//!
//! An image is checked as a whole before a pixel is read; decoding cannot fail.
//! The values are those of `cv_bridge` and OpenCV, with two exceptions: transparency is laid over white, and a Bayer image has
//! another border, see [`BayerOrder`].

mod bayer;
mod pixel;
mod yuv;

use std::slice::ChunksExactMut;

pub use bayer::BayerOrder;
use image::RgbImage;

use self::pixel::Rgb;
use super::load::{MAX_SIDE, over_white};
use crate::error::{Error, Result};

/// How pixels lie in the data of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// Red, green, blue, opacity: laid over white, as the model does it with images in files.
    Rgba8,
    /// Blue, green, red, opacity: the same.
    Bgra8,
    /// Grey.
    Mono8,
    /// Grey, 16 bits: 65535 is white.
    Mono16,
    /// Two pixels in four bytes: U, Y0, V, Y1; BT.601, limited range, as all the YUV here.
    Uyvy,
    /// Two pixels in four bytes: Y0, U, Y1, V.
    Yuyv,
    /// All rows of Y, then rows of alternating U and V, each for two pixels of two rows.
    Nv12,
    /// One colour a pixel, 8 bits.
    Bayer8(BayerOrder),
    /// One colour a pixel, 16 bits: 65535 is white.
    Bayer16(BayerOrder),
}

/// The names of `sensor_msgs/image_encodings.hpp` (newer ones of two last), then OpenCV's types.
///
/// `cv_bridge` writes `8UC3` for an image without a named order; OpenCV's order is blue first.
const NAMES: [(&str, Encoding); 21] = [
    ("rgb8", Encoding::Rgb8),
    ("bgr8", Encoding::Bgr8),
    ("rgba8", Encoding::Rgba8),
    ("bgra8", Encoding::Bgra8),
    ("mono8", Encoding::Mono8),
    ("mono16", Encoding::Mono16),
    ("bayer_rggb8", Encoding::Bayer8(BayerOrder::Rggb)),
    ("bayer_bggr8", Encoding::Bayer8(BayerOrder::Bggr)),
    ("bayer_gbrg8", Encoding::Bayer8(BayerOrder::Gbrg)),
    ("bayer_grbg8", Encoding::Bayer8(BayerOrder::Grbg)),
    ("bayer_rggb16", Encoding::Bayer16(BayerOrder::Rggb)),
    ("bayer_bggr16", Encoding::Bayer16(BayerOrder::Bggr)),
    ("bayer_gbrg16", Encoding::Bayer16(BayerOrder::Gbrg)),
    ("bayer_grbg16", Encoding::Bayer16(BayerOrder::Grbg)),
    ("yuv422", Encoding::Uyvy),
    ("uyvy", Encoding::Uyvy),
    ("yuv422_yuy2", Encoding::Yuyv),
    ("yuyv", Encoding::Yuyv),
    ("nv12", Encoding::Nv12),
    ("8UC1", Encoding::Mono8),
    ("8UC3", Encoding::Bgr8),
];

/// The names under which ROS sends depth (REP 118): millimetres or metres, which no one should see as brightness.
const DEPTH: [&str; 2] = ["16UC1", "32FC1"];

impl Encoding {
    /// Read an encoding's name.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names it and those that are understood.
    pub fn read(name: &str) -> Result<Self> {
        if let Some((_, encoding)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*encoding);
        }
        let remark = if DEPTH.contains(&name) {
            ": it is depth, not an image"
        } else {
            ""
        };
        let known = NAMES.map(|(known, _)| known).join(", ");
        let why = format!("unsupported encoding `{name}`{remark}; expected one of {known}");
        Err(Error::invalid("image", why))
    }

    /// Bytes of a row of data, without padding. In NV12, a row of U and V is as long as one of Y.
    fn row_bytes(self, width: u32) -> u64 {
        let pixel_bytes = match self {
            Self::Mono8 | Self::Nv12 | Self::Bayer8(_) => 1,
            Self::Mono16 | Self::Bayer16(_) | Self::Uyvy | Self::Yuyv => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
        };
        u64::from(width) * pixel_bytes
    }

    /// Rows of data: more than the image has if colours lie below the brightness.
    fn n_rows(self, height: u32) -> u64 {
        let colors = match self {
            Self::Nv12 => height / 2,
            _ => 0,
        };
        u64::from(height) + u64::from(colors)
    }

    /// The expected size, if this one cannot be used.
    fn missed_size(self, width: u32, height: u32) -> Option<String> {
        let is_odd = |side: u32| side % 2 == 1;
        let expected = match self {
            _ if width == 0 || height == 0 => "at least 1x1",
            _ if width.max(height) > MAX_SIDE => {
                return Some(format!("at most {MAX_SIDE} pixels a side"));
            }
            Self::Uyvy | Self::Yuyv if is_odd(width) => "an even width for YUV 4:2:2",
            Self::Nv12 if is_odd(width) || is_odd(height) => "an even width and height for nv12",
            // In less than one cell there are colours that no pixel has measured.
            Self::Bayer8(_) | Self::Bayer16(_) if width.min(height) < 2 => "at least 2x2 for Bayer",
            _ => return None,
        };
        Some(expected.into())
    }
}

/// An image with the fields of `sensor_msgs/Image`, any of which may be wrong.
#[derive(Clone, Copy, Debug)]
pub struct RawImage<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels; NV12 has half as many rows of data again.
    pub height: u32,
    /// Bytes from one row of data to the next; bytes behind a row's pixels are ignored.
    pub step: u32,
    /// The encoding's name.
    pub encoding: &'a str,
    /// Whether values of 16 bits begin with their high byte.
    pub is_bigendian: bool,
    /// Rows, the top one first; bytes behind the last row are ignored.
    pub data: &'a [u8],
}

impl<'a> RawImage<'a> {
    /// Check that sizes and data agree, without touching the pixels.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that says what was expected and what was found.
    pub fn check(&self) -> Result<Encoding> {
        let refuse = |why: String| Err(Error::invalid("image", why));
        let encoding = Encoding::read(self.encoding)?;
        let (name, width, height) = (self.encoding, self.width, self.height);
        if let Some(expected) = encoding.missed_size(width, height) {
            return refuse(format!("its size is {width}x{height}; expected {expected}"));
        }
        let (row, step) = (encoding.row_bytes(width), u64::from(self.step));
        if step < row {
            return refuse(format!(
                "its step is {step}; expected at least {row} ({width} pixels of {name})"
            ));
        }
        let n_rows = encoding.n_rows(height); // Below 2^15, so that the product with a step fits.
        let (expected, got) = (step * n_rows, self.data.len() as u64);
        if got < expected {
            return refuse(format!(
                "its data is truncated: expected {expected} bytes ({n_rows} rows of {step}), got {got}"
            ));
        }
        Ok(encoding)
    }

    /// Read the pixels.
    ///
    /// # Errors
    /// See [`RawImage::check`].
    pub fn to_rgb(&self) -> Result<RgbImage> {
        let encoding = self.check()?;
        // Not more than three times the data, whatever the header says: each pixel has a byte of its own at least.
        let mut pixels = vec![[0; 3]; self.width as usize * self.height as usize];
        let output = pixels.chunks_exact_mut(self.width as usize);
        self.convert(encoding, &self.rows(encoding), output);
        RgbImage::from_raw(self.width, self.height, pixels.into_flattened())
            .ok_or_else(|| Error::Internal("an image was checked but does not fit its size".into()))
    }

    /// The rows of a checked image, without padding.
    fn rows(&self, encoding: Encoding) -> Vec<&'a [u8]> {
        let n_bytes = encoding.row_bytes(self.width) as usize;
        self.data
            .chunks_exact(self.step as usize)
            .take(encoding.n_rows(self.height) as usize)
            .filter_map(|row| row.get(..n_bytes))
            .collect()
    }

    fn convert(&self, encoding: Encoding, rows: &[&[u8]], output: ChunksExactMut<'_, Rgb>) {
        let word = |bytes| {
            if self.is_bigendian {
                u16::from_be_bytes(bytes)
            } else {
                u16::from_le_bytes(bytes)
            }
        };
        match encoding {
            Encoding::Rgb8 => packed(rows, output, |rgb| rgb),
            Encoding::Bgr8 => packed(rows, output, |[b, g, r]| [r, g, b]),
            Encoding::Rgba8 => packed(rows, output, |[r, g, b, alpha]| {
                [r, g, b].map(|value| over_white(value, alpha))
            }),
            Encoding::Bgra8 => packed(rows, output, |[b, g, r, alpha]| {
                [r, g, b].map(|value| over_white(value, alpha))
            }),
            Encoding::Mono8 => packed(rows, output, |[grey]| [grey; 3]),
            Encoding::Mono16 => packed(rows, output, |grey| [narrow(word(grey)); 3]),
            Encoding::Uyvy => yuv::packed(rows, output, |[u, y0, v, y1]| [y0, u, y1, v]),
            Encoding::Yuyv => yuv::packed(rows, output, |yuyv| yuyv),
            Encoding::Nv12 => yuv::planes(rows, output),
            Encoding::Bayer8(order) => {
                bayer::demosaic(
                    rows,
                    output,
                    order,
                    |[value]| value.into(),
                    |mean| mean as u8,
                );
            }
            Encoding::Bayer16(order) => bayer::demosaic(rows, output, order, word, narrow),
        }
    }
}

/// Read rows in which each pixel has its own `N` bytes.
fn packed<const N: usize>(
    rows: &[&[u8]],
    output: ChunksExactMut<'_, Rgb>,
    rgb: impl Fn([u8; N]) -> Rgb,
) {
    for (row, output) in rows.iter().zip(output) {
        for (pixel, output) in row.as_chunks::<N>().0.iter().zip(output) {
            *output = rgb(*pixel);
        }
    }
}

/// 16 bits to 8: times 255 / 65535 and rounded, so that white stays white.
///
/// It is what `cv_bridge` does (`toCvCopyImpl`); the high byte alone is off by one for a quarter of the values.
/// A camera of 10 or 12 bits that does not shift its values up is as dark here as it is there.
fn narrow(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

#[cfg(test)]
mod tests;
