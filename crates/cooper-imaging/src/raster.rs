//! Pixels in the form of messages, without ROS: rows of bytes with the encoding's name.

use image::RgbImage;

/// The fields of `sensor_msgs/Image` without its header; little-endian, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The encoding's name.
    pub encoding: &'static str,
    /// The rows, the top one first.
    pub data: Vec<u8>,
}

impl Raster {
    /// Rows of `size` (width, height) in `encoding`.
    pub fn new((width, height): (u32, u32), encoding: &'static str, data: Vec<u8>) -> Self {
        Self {
            width,
            height,
            encoding,
            data,
        }
    }

    /// An image as rgb8.
    pub fn rgb(image: &RgbImage) -> Self {
        Self::new(image.dimensions(), "rgb8", image.as_raw().clone())
    }

    /// Bytes of a row.
    pub fn step(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap_or(u32::MAX) / self.height.max(1)
    }
}
