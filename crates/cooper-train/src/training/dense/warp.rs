//! Where the pixels of a varied image come from: an affine map of pixel coordinates.

use cooper_scenes::UNLABELLED;
use image::{Rgb, RgbImage};

use super::image::DenseImage;

/// Takes a pixel of the new image to the old one: `middle + matrix · (pixel − the new middle)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warp {
    matrix: [[f32; 2]; 2],
    middle: [f32; 2],
    size: [u32; 2],
}

impl Warp {
    /// The largest window of the new image's shape in the middle of the old one.
    pub(super) fn plain(from: [u32; 2], size: [u32; 2]) -> Self {
        Self::window(from, size, [1.0; 2], [0.5; 2])
    }

    /// The same, turned by an angle in radians around its middle, and mirrored left to right if `is_mirrored`.
    pub(super) fn turned(mut self, angle: f32, is_mirrored: bool) -> Self {
        let [sx, sy] = [self.matrix[0][0], self.matrix[1][1]];
        let sx = if is_mirrored { -sx } else { sx };
        let (sin, cos) = angle.sin_cos();
        self.matrix = [[sx * cos, -sy * sin], [sx * sin, sy * cos]];
        self
    }

    /// A window with these shares of the largest one's sides, at a place from 0 to 1 each way.
    pub(super) fn window(
        from: [u32; 2],
        size: [u32; 2],
        shares: [f32; 2],
        place: [f32; 2],
    ) -> Self {
        let from = from.map(|side| side as f32);
        let to = size.map(|side| side as f32);
        let step = (from[0] / to[0]).min(from[1] / to[1]);
        let sides = [0, 1].map(|axis| (to[axis] * step * shares[axis]).min(from[axis]));
        let at = |axis: usize| sides[axis] / 2.0 + place[axis] * (from[axis] - sides[axis]) - 0.5;
        Self {
            matrix: [[sides[0] / to[0], 0.0], [0.0, sides[1] / to[1]]],
            middle: [at(0), at(1)],
            size,
        }
    }

    /// The new image. Colours are means of the old pixels under a new one, maps are those in its middle.
    pub(super) fn apply(&self, old: &DenseImage) -> DenseImage {
        let [width, height] = self.size;
        let [[a, b], [c, d]] = self.matrix;
        let lengths = [a.hypot(c), b.hypot(d)];
        let nearest: Vec<Option<usize>> = (0..width * height)
            .map(|i| self.nearest(old, i % width, i / width))
            .collect();
        let at = |map: &[u8], none: u8| {
            let pick = |place: &Option<usize>| place.map_or(none, |i| map[i]);
            nearest.iter().map(pick).collect::<Vec<u8>>()
        };
        let none = old
            .colors
            .iter()
            .flatten()
            .max()
            .copied()
            .unwrap_or_default();
        DenseImage {
            rgb: self.colors(&old.rgb, lengths),
            depth: nearest
                .iter()
                .map(|i| i.map_or(0.0, |i| old.depth[i]))
                .collect(),
            unit: old.unit,
            labels: at(&old.labels, UNLABELLED),
            colors: old.colors.as_ref().map(|colors| at(colors, none)),
            focal: old.focal.map(|[fx, fy]| [fx / lengths[0], fy / lengths[1]]),
        }
    }

    fn source(&self, x: f32, y: f32) -> [f32; 2] {
        let [width, height] = self.size.map(|side| side as f32);
        let (x, y) = (x + 0.5 - width / 2.0, y + 0.5 - height / 2.0);
        let [[a, b], [c, d]] = self.matrix;
        [
            self.middle[0] + a * x + b * y,
            self.middle[1] + c * x + d * y,
        ]
    }

    fn nearest(&self, old: &DenseImage, x: u32, y: u32) -> Option<usize> {
        let [u, v] = self.source(x as f32, y as f32).map(f32::round);
        let (width, height) = old.rgb.dimensions();
        let inside = u >= 0.0 && v >= 0.0 && u < width as f32 && v < height as f32;
        inside.then(|| v as usize * width as usize + u as usize)
    }

    fn colors(&self, old: &RgbImage, lengths: [f32; 2]) -> RgbImage {
        // So many samples under a new pixel that no old one is left out.
        let taps = lengths.map(|length| length.ceil().clamp(1.0, 8.0) as u32);
        let offset = |tap: u32, taps: u32| (tap as f32 + 0.5) / taps as f32 - 0.5;
        RgbImage::from_fn(self.size[0], self.size[1], |x, y| {
            let mut sum = [0f32; 3];
            for tap in 0..taps[0] * taps[1] {
                let dx = offset(tap % taps[0], taps[0]);
                let dy = offset(tap / taps[0], taps[1]);
                let color = bilinear(old, self.source(x as f32 + dx, y as f32 + dy));
                (0..3).for_each(|c| sum[c] += color[c]);
            }
            let n = (taps[0] * taps[1]) as f32;
            Rgb(sum.map(|sum| (sum / n).round() as u8))
        })
    }
}

/// The image at another size, otherwise as it is.
pub(super) fn resized(image: &DenseImage, size: [u32; 2]) -> DenseImage {
    Warp::plain(image.rgb.dimensions().into(), size).apply(image)
}

/// The colour between pixels; the border goes on outside.
fn bilinear(image: &RgbImage, [x, y]: [f32; 2]) -> [f32; 3] {
    let (width, height) = image.dimensions();
    let x = x.clamp(0.0, (width - 1) as f32);
    let y = y.clamp(0.0, (height - 1) as f32);
    let (left, top) = (x as u32, y as u32);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (p, q) = (x - left as f32, y - top as f32);
    let pixel = |x, y| image.get_pixel(x, y).0.map(f32::from);
    let (a, b, c, d) = (
        pixel(left, top),
        pixel(right, top),
        pixel(left, bottom),
        pixel(right, bottom),
    );
    [0, 1, 2].map(|i| {
        let above = a[i] + p * (b[i] - a[i]);
        let below = c[i] + p * (d[i] - c[i]);
        above + q * (below - above)
    })
}

#[cfg(test)]
mod tests {
    use super::super::image::DepthUnit;
    use super::*;

    /// Columns as red and depth, rows as green and label.
    fn ramp(width: u32, height: u32) -> DenseImage {
        let pixels = || (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
        DenseImage {
            rgb: RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7])),
            depth: pixels().map(|(x, _)| 1.0 + x as f32).collect(),
            unit: DepthUnit::Metres,
            labels: pixels().map(|(_, y)| y as u8).collect(),
            colors: None,
            focal: Some([100.0, 100.0]),
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let old = ramp(12, 8);
        let new = Warp::plain([12, 8], [12, 8]).apply(&old);
        assert_eq!((new.rgb, new.depth), (old.rgb, old.depth));
        assert_eq!((new.labels, new.focal), (old.labels, old.focal));
    }

    #[test]
    fn half_the_size_means_pixels_and_halves_the_focal_length() {
        let new = Warp::plain([40, 20], [20, 10]).apply(&ramp(40, 20));
        assert_eq!(new.focal, Some([50.0, 50.0]));
        // The mean of columns 10 and 11, of rows 6 and 7.
        assert_eq!(new.rgb.get_pixel(5, 3).0, [11, 7, 7]);
        assert!([11.0, 12.0].contains(&new.depth[3 * 20 + 5]));
    }

    #[test]
    fn colours_and_maps_move_together() {
        let old = ramp(160, 120);
        for (angle, is_mirrored) in [(0.3, false), (-0.2, true)] {
            let window = Warp::window([160, 120], [64, 48], [0.8, 0.7], [0.1, 0.9]);
            let new = window.turned(angle, is_mirrored).apply(&old);
            for (i, depth) in new.depth.iter().enumerate().filter(|(_, d)| **d > 0.0) {
                let [red, green, _] = new.rgb.get_pixel(i as u32 % 64, i as u32 / 64).0;
                assert!((f32::from(red) + 1.0 - depth).abs() <= 2.0);
                assert!((i32::from(green) - i32::from(new.labels[i])).abs() <= 2);
            }
            let unknown = new.depth.iter().filter(|d| **d == 0.0).count();
            assert!(unknown < new.depth.len() / 3, "{unknown}");
            let reds = |x| new.rgb.get_pixel(x, 24).0[0];
            assert_eq!(reds(10) > reds(50), is_mirrored);
        }
    }
}
