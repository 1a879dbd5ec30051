//! The three images that the autoencoder learns from one: itself, its depth map, its segmentation.

use candle_core::{Device, Tensor};
use cooper_model::Result;
use cooper_model::model::DepthCurve;
use image::{Rgb, RgbImage};
use rand::Rng;
use rand::rngs::StdRng;

use crate::training::dense::{ClassSet, DenseImage};

/// How maps are drawn.
#[derive(Debug)]
pub(super) struct Maps {
    /// The classes of segmentations.
    pub(super) classes: ClassSet,
    /// The depths that are drawn as 0 and 1, metres.
    pub(super) range_m: [f32; 2],
}

/// An image, row-major, three numbers a pixel in [−1, 1].
#[derive(Debug)]
pub(super) struct Pixels {
    width: usize,
    height: usize,
    values: Vec<[f32; 3]>,
}

impl Maps {
    /// An image, its depth map and its segmentation.
    pub(super) fn three(&self, image: &DenseImage, curve: DepthCurve) -> [Pixels; 3] {
        let (width, height) = image.rgb.dimensions();
        let pixels = |values| Pixels {
            width: width as usize,
            height: height as usize,
            values,
        };
        let relative = image.relative_depth(self.range_m);
        let grey = |relative: &f32| [2.0 * curve.encode(*relative) - 1.0; 3];
        [
            pixels(of_rgb(&image.rgb)),
            pixels(relative.iter().map(grey).collect()),
            pixels(of_rgb(&self.classes.draw(image))),
        ]
    }

    /// The share of pixels whose decoded colour (3, hh, ww) is nearest to that of their class, or to black without one.
    pub(super) fn share_of_paints(&self, image: &DenseImage, decoded: &Tensor) -> Result<f64> {
        let truth = self.classes.draw(image);
        let mut paints: Vec<[u8; 3]> = truth.pixels().map(|pixel| pixel.0).collect();
        paints.sort_unstable();
        paints.dedup();
        paints.extend(self.classes.paints());
        let planes: Vec<Vec<f32>> = decoded.flatten_from(1)?.to_vec2()?;
        let right = truth.pixels().enumerate().filter(|(i, Rgb(expected))| {
            let color = [0, 1, 2].map(|c| (planes[c][*i] + 1.0) * 127.5);
            let distance = |paint: &[u8; 3]| -> f32 {
                let squares = (0..3).map(|c| (f32::from(paint[c]) - color[c]).powi(2));
                squares.sum()
            };
            let nearest = paints
                .iter()
                .min_by(|a, b| distance(a).total_cmp(&distance(b)));
            nearest == Some(expected)
        });
        Ok(right.count() as f64 / truth.pixels().len() as f64)
    }
}

fn of_rgb(image: &RgbImage) -> Vec<[f32; 3]> {
    let unit = |value: u8| f32::from(value) / 127.5 - 1.0;
    image.pixels().map(|pixel| pixel.0.map(unit)).collect()
}

/// Add a random crop of so many rows and columns, in half of the cases mirrored, as (3, rows, columns).
pub(super) fn add_crop(
    image: &Pixels,
    [rows, columns]: [usize; 2],
    rng: &mut StdRng,
    to: &mut Vec<f32>,
) {
    let top = rng.random_range(0..=image.height - rows);
    let left = rng.random_range(0..=image.width - columns);
    let flip = rng.random_bool(0.5);
    for c in 0..3 {
        for row in top..top + rows {
            for i in 0..columns {
                let column = left + if flip { columns - 1 - i } else { i };
                to.push(image.values[row * image.width + column][c]);
            }
        }
    }
}

/// The whole image, (3, hh, ww).
pub(super) fn whole(image: &Pixels) -> Result<Tensor> {
    let planes = (0..3).flat_map(|c| image.values.iter().map(move |pixel| pixel[c]));
    let shape = (3, image.height, image.width);
    Ok(Tensor::from_vec(planes.collect(), shape, &Device::Cpu)?)
}
