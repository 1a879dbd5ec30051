//! The size rule of BAGEL's transforms, and Pillow's antialiased bicubic resize to the bit.

use image::RgbImage;

/// How large a picture is made.
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
    /// The size (width, height) that a picture of `width` by `height` pixels (both at least 1) is resized to.
    pub fn output_size(&self, width: u32, height: u32) -> (u32, u32) {
        let (w, h) = (f64::from(width), f64::from(height));
        let max_size = f64::from(self.max_size);
        let shrink = (max_size / w.max(h)).min(1.0);
        let scale = shrink.max(f64::from(self.min_size) / w.min(h));
        let (mut w, mut h) = self.scaled(w, h, scale);
        let max_pixels = f64::from(self.max_pixels);
        if w * h > max_pixels {
            // The ratio of the areas, not its root: it overshoots, but so it was trained.
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

    /// The picture at the rule's size, untouched if it has it already.
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

/// Fixed-point precision of the weights.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// For each output position, the first input position and the integer weights from there on.
struct Weights(Vec<(usize, Vec<i64>)>);

impl Weights {
    fn new(n_in: usize, n_out: usize) -> Self {
        let scale = n_in as f64 / n_out as f64;
        let widening = scale.max(1.0);
        let support = 2.0 * widening;
        let of_position = |i: usize| {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let last = ((center + support + 0.5) as usize).min(n_in);
            let weights: Vec<f64> = (first..last)
                .map(|j| cubic((j as f64 - center + 0.5) / widening))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| {
                let scaled = weight / sum * f64::from(1 << PRECISION_BITS);
                (scaled + 0.5f64.copysign(scaled)) as i64
            };
            (first, weights.into_iter().map(fixed).collect())
        };
        Self((0..n_out).map(of_position).collect())
    }
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
    fn a_flat_picture_stays_flat_at_any_size() {
        let flat = RgbImage::from_pixel(13, 7, image::Rgb([17, 200, 255]));
        for (width, height) in [(1, 1), (5, 3), (13, 20), (64, 48)] {
            let resized = bicubic(&flat, width, height);
            assert_eq!(resized.dimensions(), (width, height));
            assert!(resized.pixels().all(|p| p.0 == [17, 200, 255]));
        }
    }
}
