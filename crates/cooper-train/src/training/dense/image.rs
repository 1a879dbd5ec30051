//! An image with what is known about each of its pixels.

use cooper_scenes::relative_depth;
use image::RgbImage;

/// An image with what is known about each of its pixels; all maps are row-major and of the image's size.
#[derive(Clone, Debug)]
pub struct DenseImage {
    /// What the camera sees.
    pub rgb: RgbImage,
    /// Metres along the optical axis; 0 is unknown.
    pub depth: Vec<f32>,
    /// What the depths mean.
    pub unit: DepthUnit,
    /// Classes; 255 is unknown.
    pub labels: Vec<u8>,
    /// Names of the colours of objects, where they are known, by their place in `ColorName::ALL`; its length elsewhere.
    pub colors: Option<Vec<u8>>,
    /// Focal lengths along rows and columns, in pixels; unknown where nobody asks for them.
    pub focal: Option<[f32; 2]>,
}

/// What depths mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DepthUnit {
    /// Metres.
    #[default]
    Metres,
    /// Only differences and their ratios: any scale and shift of it is the same truth.
    Relative,
}

impl DenseImage {
    /// Depth on a line from 0 at the nearer end of the range to 1 at the farther one, clamped.
    pub fn relative_depth(&self, [near, far]: [f32; 2]) -> Vec<f32> {
        relative_depth(&self.depth, near, far)
    }

    /// Tell depths as a camera with this focal length, as a share of the image's width, would have to measure them to
    /// see the same image.
    ///
    /// Source: the canonical camera of Metric3D (arXiv 2307.10984), whose labels are transformed.
    pub fn make_canonical(&mut self, focal_share: f32) {
        let Some([fx, fy]) = self.focal else { return };
        let canonical = focal_share * self.rgb.width() as f32;
        let factor = canonical / (fx * fy).sqrt();
        for depth in &mut self.depth {
            *depth *= factor;
        }
        self.focal = Some([canonical; 2]);
    }
}

#[cfg(test)]
mod tests {
    use cooper_scenes::UNLABELLED;

    use super::*;

    #[test]
    fn a_camera_with_twice_the_focal_length_sees_things_at_half_their_depth() {
        let mut image = DenseImage {
            rgb: RgbImage::new(2, 1),
            depth: vec![0.0, 4.0],
            unit: DepthUnit::Metres,
            labels: vec![UNLABELLED; 2],
            colors: None,
            focal: Some([3.2, 3.2]),
        };
        image.make_canonical(0.8);
        assert_eq!(
            (image.depth, image.focal),
            (vec![0.0, 2.0], Some([1.6, 1.6]))
        );
    }
}
