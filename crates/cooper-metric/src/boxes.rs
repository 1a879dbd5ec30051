//! Boxes around the labelled parts of a metric depth map.

use std::collections::BTreeMap;

use nalgebra::{Point3, Vector3};

use super::intrinsics::Intrinsics;

/// How far a map's depth bleeds over the edges of things, as a share of the image's width: no depth is taken there.
const EDGE_SHARE: f64 = 0.01;
/// The share of depths that is left out at each end: what bleeds farther.
const DEPTH_TRIM: f64 = 0.05;
/// The share of pixels that is left out at each end of x and y: crumbs of a label.
const PLACE_TRIM: f64 = 0.002;
/// Fewer pixels with depth than this make no box.
const MIN_PIXELS: usize = 10;

/// A box along the axes of the optical frame, in metres, around the visible surface; the far side is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Box3d {
    /// The middle.
    pub center: Point3<f64>,
    /// The extents along x, y and z.
    pub size: Vector3<f64>,
}

/// The boxes of the labels in an image of the size of `intrinsics`, from its metric depth, both row-major; NaN is no
/// depth. A label with too few pixels that have depth has none; if sizes differ, none has.
///
/// How near and far a part is comes from its inside; how wide and high, from its outline at that depth. So neither the
/// background that bleeds into a part nor the foreground beside it makes its box larger.
pub fn boxes(labels: &[u16], metres: &[f32], intrinsics: &Intrinsics) -> BTreeMap<u16, Box3d> {
    let (width, height) = (intrinsics.width as usize, intrinsics.height as usize);
    if labels.len() != width * height || metres.len() != labels.len() {
        return BTreeMap::new();
    }
    let mut parts: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (pixel, (label, z)) in labels.iter().zip(metres).enumerate() {
        if z.is_finite() && *z > 0.0 {
            parts.entry(*label).or_default().push(pixel);
        }
    }
    let edge = (EDGE_SHARE * width as f64).round().max(1.0) as usize;
    let found = parts.into_iter().filter_map(|(label, pixels)| {
        let inside = |pixel: &&usize| is_inside(labels, (width, height), **pixel, edge);
        let depths = |pixels: &mut dyn Iterator<Item = &usize>| -> Vec<f64> {
            pixels.map(|pixel| f64::from(metres[*pixel])).collect()
        };
        let mut inner = depths(&mut pixels.iter().filter(inside));
        if inner.len() < MIN_PIXELS {
            inner = depths(&mut pixels.iter());
        }
        if inner.len() < MIN_PIXELS {
            return None;
        }
        let range = ends(inner, DEPTH_TRIM);
        let points: Vec<Point3<f64>> = pixels
            .iter()
            .map(|pixel| {
                let ray = intrinsics.ray((pixel % width) as f64, (pixel / width) as f64);
                let z = f64::from(metres[*pixel]).clamp(range[0], range[1]);
                Point3::from(ray * z)
            })
            .filter(|point| point.x.is_finite())
            .collect();
        around(&points, range, intrinsics).map(|found| (label, found))
    });
    found.collect()
}

/// Whether the pixels `edge` pixels away from a pixel have its label; places outside of the image do not count.
fn is_inside(labels: &[u16], (width, height): (usize, usize), pixel: usize, edge: usize) -> bool {
    let (x, y) = (pixel % width, pixel / width);
    let (left, right) = (x.saturating_sub(edge), (x + edge).min(width - 1));
    let (top, bottom) = (y.saturating_sub(edge), (y + edge).min(height - 1));
    let columns = [left, x, right];
    let mut around = [top, y, bottom]
        .into_iter()
        .flat_map(|row| columns.map(|column| row * width + column));
    around.all(|other| labels[other] == labels[pixel])
}

fn around(points: &[Point3<f64>], depth: [f64; 2], camera: &Intrinsics) -> Option<Box3d> {
    if points.len() < MIN_PIXELS {
        return None;
    }
    let along = |axis: usize, focal: f64| {
        let [low, high] = ends(points.iter().map(|p| p[axis]).collect(), PLACE_TRIM);
        // Points are at the centres of pixels, and a region reaches to their edges.
        let half_pixel = 0.25 * (depth[0] + depth[1]) / focal;
        [low - half_pixel, high + half_pixel]
    };
    let (x, y) = (along(0, camera.fx), along(1, camera.fy));
    let [low, high] = [0, 1].map(|end| Point3::new(x[end], y[end], depth[end]));
    Some(Box3d {
        center: nalgebra::center(&low, &high),
        size: high - low,
    })
}

/// The least and the largest value without a share at each end.
fn ends(mut values: Vec<f64>, trim: f64) -> [f64; 2] {
    let cut = (values.len() as f64 * trim) as usize;
    let last = values.len() - 1 - cut;
    [cut, last].map(|at| *values.select_nth_unstable_by(at, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 100;

    fn camera() -> Intrinsics {
        let k = [100.0, 0.0, 50.0, 0.0, 100.0, 40.0, 0.0, 0.0, 1.0];
        Intrinsics::from_k(&k, WIDTH as u32, 80).unwrap()
    }

    /// 40 by 20 pixels.
    fn is_patch(i: usize) -> bool {
        (20..60).contains(&(i % WIDTH)) && (10..30).contains(&(i / WIDTH))
    }

    fn labels() -> Vec<u16> {
        (0..8000).map(|i| if is_patch(i) { 7 } else { 0 }).collect()
    }

    #[track_caller]
    fn check(found: &BTreeMap<u16, Box3d>) {
        let patch = found[&7];
        let expected = Vector3::new(0.8, 0.4, 0.0);
        assert!((patch.size - expected).norm() < 0.025, "{patch:?}");
        let middle = Point3::new(-0.21, -0.41, 2.0);
        assert!((patch.center - middle).norm() < 0.02, "{patch:?}");
    }

    #[test]
    fn a_flat_patch_has_its_place_and_size_despite_holes_and_outliers() {
        let metres: Vec<f32> = (0..8000)
            .map(|i| match (is_patch(i), i % 97) {
                (true, 0) => f32::NAN,
                (true, 1) => 30.0,
                (true, 2) => -1.0,
                (true, _) => 2.0,
                _ => 5.0,
            })
            .collect();
        check(&boxes(&labels(), &metres, &camera()));
    }

    #[test]
    fn depth_that_bleeds_over_edges_does_not_count() {
        // Each edge is a ramp from 2 m to 5 m, half of it on the patch.
        let sharp: Vec<f32> = (0..8000)
            .map(|i| if is_patch(i) { 2.0 } else { 5.0 })
            .collect();
        let mean = |i: usize| {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let near = |at: usize, end: usize| at.saturating_sub(1)..=(at + 1).min(end);
            let cells = near(y, 79).flat_map(|y| near(x, 99).map(move |x| y * WIDTH + x));
            let values: Vec<f32> = cells.map(|i| sharp[i]).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        let bled: Vec<f32> = (0..8000).map(mean).collect();
        assert!(bled[20 * WIDTH + 20] > 2.5, "it does bleed");
        check(&boxes(&labels(), &bled, &camera()));
    }

    #[test]
    fn what_has_no_depth_has_no_box() {
        let metres: Vec<f32> = (0..8000)
            .map(|i| if is_patch(i) { f32::NAN } else { 5.0 })
            .collect();
        let found = boxes(&labels(), &metres, &camera());
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0]);
        assert!(boxes(&labels()[1..], &metres, &camera()).is_empty());
        assert!(boxes(&labels(), &metres[1..], &camera()).is_empty());
    }
}
