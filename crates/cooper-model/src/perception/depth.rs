//! Relative depth maps. They have no metres: an unknown scale and shift lies between them and the world.

use cooper_imaging::spectral;
use image::{ImageBuffer, Luma, RgbImage, imageops};

use super::map::{MapPixels, MapRequest, draw_map_of};
use crate::engine::{Control, Engine, MapKind};
use crate::error::Result;

/// Relative depth at the source image's size.
#[derive(Clone, Debug)]
pub struct DepthMap {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row-major, 0 near to 1 far; NaN where there is none.
    pub values: Vec<f32>,
}

/// Draw the depth map of `image` and bring it to the image's size.
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn estimate_depth(
    engine: &Engine,
    request: &MapRequest,
    image: &RgbImage,
    control: &mut Control,
) -> Result<DepthMap> {
    let map = draw_map_of(engine, MapKind::Depth, request, image, control)?;
    let size = map.size;
    let values = match map.pixels {
        MapPixels::Depth(values) => values,
        MapPixels::Segmentation(_) => Vec::new(),
    };
    Ok(DepthMap::at_size(values, size, image.dimensions()))
}

impl DepthMap {
    /// Values of a map of the size `drawn` (width, height), brought to the size `source`.
    pub fn at_size(values: Vec<f32>, drawn: (u32, u32), source: (u32, u32)) -> Self {
        let drawn: ImageBuffer<Luma<f32>, Vec<f32>> =
            ImageBuffer::from_raw(drawn.0, drawn.1, values).unwrap_or_default();
        let (width, height) = source;
        let triangle = imageops::FilterType::Triangle;
        let values = imageops::resize(&drawn, width, height, triangle).into_raw();
        Self {
            width,
            height,
            values,
        }
    }

    /// The values as 16-bit greys, 0 near to 65535 far, as `cooper depth` writes them. What lies outside of 0 to 1 becomes
    /// 0 or 65535, NaN 0.
    ///
    /// ```
    /// use cooper_model::perception::DepthMap;
    ///
    /// let map = DepthMap {
    ///     width: 2,
    ///     height: 1,
    ///     values: vec![0.5, f32::NAN],
    /// };
    /// assert_eq!(map.grey16().into_raw(), [32768, 0]);
    /// ```
    pub fn grey16(&self) -> ImageBuffer<Luma<u16>, Vec<u16>> {
        let mut image = ImageBuffer::new(self.width, self.height);
        for (pixel, value) in image.pixels_mut().zip(&self.values) {
            // The conversion saturates, and makes 0 of NaN.
            *pixel = Luma([(value * f32::from(u16::MAX)).round() as u16]);
        }
        image
    }

    /// The values in Spectral colours: near red, far violet. Computed at each call.
    pub fn color(&self) -> RgbImage {
        spectral(&self.values, self.width, self.height)
    }
}
