//! Maps as messages carry them, and the image with its regions laid over it.

use cooper_imaging::{Raster, write_text};
use image::{Rgb, RgbImage};

use super::depth::DepthMap;
use super::segmentation::{Segmentation, UNLABELED};

/// Letters are one size larger for so many columns of an image.
const PIXELS_PER_SCALE: u32 = 320;

impl DepthMap {
    /// Relative depth as 32FC1.
    pub fn raster(&self) -> Raster {
        let values = self.values.iter();
        let data = values.flat_map(|value| value.to_le_bytes()).collect();
        Raster::new((self.width, self.height), "32FC1", data)
    }
}

impl Segmentation {
    /// Region ids as mono8 (255: no region), or as mono16 (65535: no region) when there are more than 255 regions.
    pub fn raster(&self) -> Raster {
        let labels = self.labels.iter();
        let mut ids = self.regions.iter().map(|region| region.id);
        let (encoding, data) = if ids.all(|id| id < u16::from(u8::MAX)) {
            let byte = |label: &u16| u8::try_from(*label).unwrap_or(u8::MAX);
            ("mono8", labels.map(byte).collect())
        } else {
            let bytes = labels.flat_map(|label| label.to_le_bytes());
            ("mono16", bytes.collect())
        };
        Raster::new(self.color.dimensions(), encoding, data)
    }

    /// `image` with the regions laid over it, half and half, and the names of classes written into them; pixels in no region
    /// stay as they are.
    pub fn overlay(&self, image: &RgbImage) -> RgbImage {
        let mut blended = image.clone();
        let regions = self.color.pixels().zip(&self.labels);
        for (pixel, (color, label)) in blended.pixels_mut().zip(regions) {
            if *label != UNLABELED {
                let (Rgb([r, g, b]), Rgb([over_r, over_g, over_b])) = (*pixel, *color);
                *pixel = Rgb([r.midpoint(over_r), g.midpoint(over_g), b.midpoint(over_b)]);
            }
        }
        self.write_classes(&mut blended);
        blended
    }

    /// The largest regions last, so that their names lie above others.
    fn write_classes(&self, image: &mut RgbImage) {
        if self.regions.iter().all(|region| region.class.is_none()) {
            return;
        }
        let scale = image.width() / PIXELS_PER_SCALE;
        let inner = self.inner_pixels();
        let mut regions: Vec<_> = self.regions.iter().collect();
        regions.sort_by_key(|region| region.n_pixels);
        for region in regions {
            if let (Some(_), Some(name), Some(at)) =
                (region.class, &region.name, inner.get(&region.id))
            {
                write_text(image, name, (at.x, at.y), scale);
            }
        }
    }
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
        let narrow = segmentation(255).raster();
        assert_eq!((narrow.encoding, narrow.step()), ("mono8", 2));
        assert_eq!(narrow.data, [0, 255]);
        let wide = segmentation(256).raster();
        assert_eq!((wide.encoding, wide.step()), ("mono16", 4));
        assert_eq!(wide.data, [0, 0, 255, 255]);
    }

    #[test]
    fn regions_lie_over_the_image_half_and_half() {
        let image = RgbImage::from_pixel(2, 1, Rgb([100, 50, 0]));
        let blended = segmentation(1).overlay(&image);
        assert_eq!(blended.into_raw(), [150, 25, 50, 100, 50, 0]);
    }

    #[test]
    fn names_of_classes_are_written_into_their_regions_and_others_not() {
        let plain = RgbImage::from_pixel(64, 32, Rgb([200, 0, 101]));
        let mut found = Segmentation::from_colors(plain.clone());
        found.regions[0].name = Some("sofa".into());
        let is_written = |found: &Segmentation| {
            let overlay = found.overlay(&plain);
            overlay.pixels().any(|pixel| pixel.0 == [255; 3])
        };
        assert!(!is_written(&found));
        found.regions[0].class = Some(7);
        assert!(is_written(&found));
    }

    #[test]
    fn depth_is_floats() {
        let depth = DepthMap {
            width: 2,
            height: 1,
            values: vec![0.5, f32::NAN],
        };
        let raster = depth.raster();
        assert_eq!((raster.encoding, raster.step()), ("32FC1", 8));
        assert_eq!(raster.data[..4], 0.5f32.to_le_bytes());
    }
}
