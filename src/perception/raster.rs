//! Maps as messages carry them: rows of bytes with the encoding's name, seen without ROS.

use image::{Rgb, RgbImage};

use super::depth::DepthMap;
use super::segmentation::{Segmentation, UNLABELED};

/// What `sensor_msgs/Image` holds besides its header; little-endian, without padding.
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
    /// A picture as rgb8.
    pub fn rgb(picture: &RgbImage) -> Self {
        Self::new(picture.dimensions(), "rgb8", picture.as_raw().clone())
    }

    /// Relative depth as 32FC1.
    pub fn depth(depth: &DepthMap) -> Self {
        let values = depth.values.iter();
        let data = values.flat_map(|value| value.to_le_bytes()).collect();
        Self::new((depth.width, depth.height), "32FC1", data)
    }

    /// Region ids as mono8 (255: no region), or as mono16 (65535: no region) when there are more than 255 regions.
    pub fn labels(segmentation: &Segmentation) -> Self {
        let labels = segmentation.labels.iter();
        let mut ids = segmentation.regions.iter().map(|region| region.id);
        let (encoding, data) = if ids.all(|id| id < u16::from(u8::MAX)) {
            let byte = |label: &u16| u8::try_from(*label).unwrap_or(u8::MAX);
            ("mono8", labels.map(byte).collect())
        } else {
            let bytes = labels.flat_map(|label| label.to_le_bytes());
            ("mono16", bytes.collect())
        };
        Self::new(segmentation.color.dimensions(), encoding, data)
    }

    /// Bytes of a row.
    pub fn step(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap_or(u32::MAX) / self.height.max(1)
    }

    fn new((width, height): (u32, u32), encoding: &'static str, data: Vec<u8>) -> Self {
        Self {
            width,
            height,
            encoding,
            data,
        }
    }
}

/// The picture with its regions laid over it, half and half; what belongs to no region stays as it is.
pub fn blend_regions(picture: &RgbImage, segmentation: &Segmentation) -> RgbImage {
    let mut blended = picture.clone();
    let regions = segmentation.color.pixels().zip(&segmentation.labels);
    for (pixel, (color, label)) in blended.pixels_mut().zip(regions) {
        if *label != UNLABELED {
            let (Rgb([r, g, b]), Rgb([over_r, over_g, over_b])) = (*pixel, *color);
            *pixel = Rgb([r.midpoint(over_r), g.midpoint(over_g), b.midpoint(over_b)]);
        }
    }
    blended
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pixels: one in region 0, one in none.
    fn segmentation(n_regions: u16) -> Segmentation {
        let color = RgbImage::from_fn(2, 1, |_, _| Rgb([200, 0, 101]));
        let mut found = Segmentation::from_colors(color);
        found.labels = vec![0, UNLABELED];
        let first = found.regions[0].clone();
        let region = |id| super::super::Region {
            id,
            ..first.clone()
        };
        found.regions = (0..n_regions).map(region).collect();
        found
    }

    #[test]
    fn labels_are_as_wide_as_the_regions_are_many() {
        let narrow = Raster::labels(&segmentation(255));
        assert_eq!((narrow.encoding, narrow.step()), ("mono8", 2));
        assert_eq!(narrow.data, [0, 255]);
        let wide = Raster::labels(&segmentation(256));
        assert_eq!((wide.encoding, wide.step()), ("mono16", 4));
        assert_eq!(wide.data, [0, 0, 255, 255]);
    }

    #[test]
    fn regions_lie_over_the_picture_half_and_half() {
        let picture = RgbImage::from_pixel(2, 1, Rgb([100, 50, 0]));
        let blended = blend_regions(&picture, &segmentation(1));
        assert_eq!(blended.into_raw(), [150, 25, 50, 100, 50, 0]);
    }

    #[test]
    fn depth_is_floats() {
        let depth = DepthMap {
            width: 2,
            height: 1,
            values: vec![0.5, f32::NAN],
            color: RgbImage::new(2, 1),
        };
        let raster = Raster::depth(&depth);
        assert_eq!((raster.encoding, raster.step()), ("32FC1", 8));
        assert_eq!(raster.data[..4], 0.5f32.to_le_bytes());
    }
}
