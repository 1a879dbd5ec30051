//! The three images that the autoencoder learns from one: itself, its depth map, its segmentation.

use candle_core::{Device, Tensor};
use cooper_model::Result;
use cooper_model::model::DepthCurve;
use cooper_model::model::pixels::{Normalization, from_unit_pixels};
use rand::Rng;
use rand::rngs::StdRng;

use crate::evaluation::segmentation::nearest_paint;
use crate::training::collate::depth_pixels;
use crate::training::dense::{ClassSet, DenseImage};

/// How maps are drawn.
#[derive(Debug)]
pub(super) struct Maps {
    /// The classes of segmentations.
    pub(super) classes: ClassSet,
    /// The depths that are drawn as 0 and 1, metres.
    pub(super) range_m: [f32; 2],
    /// How colours become the network's numbers.
    pub(super) normalization: Normalization,
}

impl Maps {
    /// The pixels (3, hh, ww) of an image, its depth map and its segmentation.
    pub(super) fn three(&self, image: &DenseImage, curve: DepthCurve) -> Result<[Tensor; 3]> {
        let relative = image.relative_depth(self.range_m);
        let segmentation = self.classes.draw(image);
        Ok([
            self.normalization.pixels(&image.rgb, &Device::Cpu)?,
            depth_pixels(&relative, image.rgb.dimensions(), curve)?,
            self.normalization.pixels(&segmentation, &Device::Cpu)?,
        ])
    }

    /// The share of pixels whose decoded colour (3, hh, ww) is nearest to that of their class, or to black without one.
    pub(super) fn share_of_paints(&self, image: &DenseImage, decoded: &Tensor) -> Result<f64> {
        let truth = self.classes.draw(image);
        let mut paints = self.classes.paints();
        if truth.pixels().any(|paint| paint.0 == [0; 3]) {
            paints.push([0; 3]);
        }
        let drawn = from_unit_pixels(&((decoded * 0.5)? + 0.5)?.clamp(0f32, 1f32)?)?;
        let pairs = truth.pixels().zip(drawn.pixels());
        let right =
            pairs.filter(|(truth, drawn)| paints[nearest_paint(&paints, drawn.0)] == truth.0);
        Ok(right.count() as f64 / truth.pixels().len() as f64)
    }
}

/// A random crop (3, rows, columns) of pixels (3, hh, ww), in half of the cases mirrored.
pub(super) fn crop(
    pixels: &Tensor,
    [rows, columns]: [usize; 2],
    rng: &mut StdRng,
) -> Result<Tensor> {
    let (_, hh, ww) = pixels.dims3()?;
    let top = rng.random_range(0..=hh - rows);
    let left = rng.random_range(0..=ww - columns);
    let crop = pixels.narrow(1, top, rows)?.narrow(2, left, columns)?;
    let crop = crop.contiguous()?;
    Ok(if rng.random_bool(0.5) {
        crop.flip(&[2])?
    } else {
        crop
    })
}
