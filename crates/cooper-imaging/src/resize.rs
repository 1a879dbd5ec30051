//! The size rule of BAGEL's transforms, and Pillow's antialiased bicubic resize to the bit.

use image::RgbImage;

use crate::error::{Error, Result};

/// How large an image is after resizing.
///
/// Source: BAGEL `data/transforms.py`, `MaxLongEdgeMinShortEdgeResize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeRule {
    /// The longer side is at most this, pixels.
    pub max_size: u32,
    /// The shorter side is at least this where `max_size` allows, pixels.
    pub min_size: u32,
    /// Both sides are multiples of this, pixels.
    pub stride: u32,
    /// The most pixels in all.
    pub max_pixels: u32,
}

impl ResizeRule {
    /// The size (width, height) that an image of `width` by `height` pixels (both at least 1) is resized to.
    pub fn output_size(&self, width: u32, height: u32) -> (u32, u32) {
        let (w, h) = (f64::from(width), f64::from(height));
        let max_size = f64::from(self.max_size);
        let shrink = (max_size / w.max(h)).min(1.0);
        let scale = shrink.max(f64::from(self.min_size) / w.min(h));
        let (mut w, mut h) = self.scaled(w, h, scale);
        let max_pixels = f64::from(self.max_pixels);
        if w * h > max_pixels {
            // The ratio of the areas, not its root: it shrinks too far, but the model was trained so.
            (w, h) = self.scaled(w, h, max_pixels / (w * h));
        }
        if w.max(h) > max_size {
            (w, h) = self.scaled(w, h, max_size / w.max(h));
        }
        (w as u32, h as u32)
    }

    fn scaled(&self, w: f64, h: f64, scale: f64) -> (f64, f64) {
        let stride = f64::from(self.stride);
        let side = |v: f64| {
            let rounded = (v * scale).round_ties_even();
            ((rounded / stride).round_ties_even() * stride).max(stride)
        };
        (side(w), side(h))
    }

    /// The image at the rule's size, untouched if it has it already.
    pub fn apply(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = self.output_size(image.width(), image.height());
        bicubic(image, width, height)
    }
}

/// Resize as Pillow's `Image.resize(…, BICUBIC)`: support widened on shrinking, two passes, 22-bit weights.
pub fn bicubic(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = (image.width() as usize, image.height() as usize);
    let (new_w, new_h) = (width as usize, height as usize);
    let mut data = image.as_raw().clone();
    if new_w != w {
        data = along_rows(&data, w, &Weights::new(w, new_w));
    }
    if new_h != h {
        data = along_columns(&data, new_w, &Weights::new(h, new_h));
    }
    // The buffer has width · height · 3 bytes by construction.
    RgbImage::from_raw(width, height, data).unwrap_or_default()
}

/// [`bicubic`] of one channel of 32-bit integers (Pillow's mode `I`): the result of each pass is rounded, the weights are not.
///
/// # Errors
/// [`Error::InvalidInput`] if there are not `width` · `height` numbers.
pub fn bicubic_i32(
    values: &[i32],
    (width, height): (u32, u32),
    (new_width, new_height): (u32, u32),
) -> Result<Vec<i32>> {
    let (w, h, new_w, new_h) = (
        width as usize,
        height as usize,
        new_width as usize,
        new_height as usize,
    );
    if values.len() != w * h || values.is_empty() {
        let why = format!("expected {width}x{height} numbers, got {}", values.len());
        return Err(Error::invalid("map", why));
    }
    let mut data = values.to_vec();
    if new_w != w {
        let weights = shares(w, new_w);
        let rows = data.chunks_exact(w).flat_map(|row| {
            let sum = |(first, weights): &(usize, Vec<f64>)| {
                weighted_sum(row[*first..].iter().zip(weights))
            };
            weights.iter().map(sum)
        });
        data = rows.collect();
    }
    if new_h != h {
        let mut resized = Vec::with_capacity(new_w * new_h);
        for (first, weights) in shares(h, new_h) {
            let below = &data[first * new_w..];
            let column = |x: usize| below[x..].iter().step_by(new_w);
            resized.extend((0..new_w).map(|x| weighted_sum(column(x).zip(&weights))));
        }
        data = resized;
    }
    Ok(data)
}

fn weighted_sum<'a>(pairs: impl Iterator<Item = (&'a i32, &'a f64)>) -> i32 {
    pairs
        .map(|(value, weight)| f64::from(*value) * weight)
        .sum::<f64>()
        .round() as i32
}

/// Fixed-point precision of the weights.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// For each output position, the first input position and the integer weights from there on.
struct Weights(Vec<(usize, Vec<i64>)>);

impl Weights {
    fn new(n_in: usize, n_out: usize) -> Self {
        let fixed = |share: f64| {
            let scaled = share * f64::from(1 << PRECISION_BITS);
            (scaled + 0.5f64.copysign(scaled)) as i64
        };
        let shares = shares(n_in, n_out).into_iter();
        Self(
            shares
                .map(|(first, shares)| (first, shares.into_iter().map(fixed).collect()))
                .collect(),
        )
    }
}

/// For each output position, the first input position and the share of each input from there on; the sum is 1.
fn shares(n_in: usize, n_out: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = n_in as f64 / n_out as f64;
    let widening = scale.max(1.0);
    let support = 2.0 * widening;
    let position_shares = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let last = ((center + support + 0.5) as usize).min(n_in);
        let weights: Vec<f64> = (first..last)
            .map(|j| cubic((j as f64 - center + 0.5) / widening))
            .collect();
        let sum: f64 = weights.iter().sum();
        (
            first,
            weights.into_iter().map(|weight| weight / sum).collect(),
        )
    };
    (0..n_out).map(position_shares).collect()
}

/// Keys' cubic with a = −0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn to_u8(sum: i64) -> u8 {
    ((sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS).clamp(0, 255) as u8
}

fn along_rows(data: &[u8], width: usize, weights: &Weights) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / width * weights.0.len());
    for row in data.chunks_exact(width * 3) {
        for (first, weights) in &weights.0 {
            let mut sums = [0i64; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i64::from(*value) * weight;
                }
            }
            out.extend(sums.map(to_u8));
        }
    }
    out
}

fn along_columns(data: &[u8], width: usize, weights: &Weights) -> Vec<u8> {
    let row_len = width * 3;
    let mut out = Vec::with_capacity(row_len * weights.0.len());
    let mut sums = vec![0i64; row_len];
    for (first, weights) in &weights.0 {
        sums.fill(0);
        for (row, weight) in data[first * row_len..].chunks_exact(row_len).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i64::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|sum| to_u8(*sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_released_ones() {
        let rule = ResizeRule {
            max_size: 1024,
            min_size: 512,
            stride: 16,
            max_pixels: 14 * 14 * 9 * 1024,
        };
        for ((width, height), expected) in [
            ((640, 480), (688, 512)),
            ((512, 384), (688, 512)),
            ((1920, 1080), (1024, 576)),
            ((1216, 352), (1024, 288)),
            ((300, 200), (768, 512)),
            ((1000, 100), (1024, 96)),
        ] {
            assert_eq!(
                rule.output_size(width, height),
                expected,
                "{width}x{height}"
            );
            let (width, height) = expected;
            assert_eq!(rule.output_size(width, height), expected, "twice");
        }
    }

    #[test]
    fn integers_are_resized_as_colours_are() {
        let image = RgbImage::from_fn(13, 7, |x, y| {
            // Far from both ends: between the passes colours are cut off and whole numbers are not.
            image::Rgb([(60 + x * 5 + y * 9) as u8, (x * y) as u8, 100])
        });
        let red: Vec<i32> = image.pixels().map(|p| p.0[0].into()).collect();
        for (width, height) in [(5, 3), (20, 7), (13, 20), (26, 14)] {
            let expected = bicubic(&image, width, height);
            let got = bicubic_i32(&red, (13, 7), (width, height)).unwrap();
            for (got, expected) in got.iter().zip(expected.pixels()) {
                // Colours are rounded once more by their weights, and overshoot is cut off.
                let error = got.clamp(&0, &255) - i32::from(expected.0[0]);
                assert!(error.abs() <= 1, "{got} {expected:?}");
            }
            let flat = bicubic_i32(&[60_000; 91], (13, 7), (width, height)).unwrap();
            assert_eq!(flat, vec![60_000; (width * height) as usize]);
        }
        assert!(bicubic_i32(&red, (7, 7), (3, 3)).is_err());
    }

    #[test]
    fn a_flat_image_stays_flat_at_any_size() {
        let flat = RgbImage::from_pixel(13, 7, image::Rgb([17, 200, 255]));
        for (width, height) in [(1, 1), (5, 3), (13, 20), (64, 48)] {
            let resized = bicubic(&flat, width, height);
            assert_eq!(resized.dimensions(), (width, height));
            assert!(resized.pixels().all(|p| p.0 == [17, 200, 255]));
        }
    }
}
