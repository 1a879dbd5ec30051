//! Boxes around labelled parts of a metric depth map.

use nalgebra::{Point3, Vector3};

use super::intrinsics::Intrinsics;

/// The share of points that are left out at each end of each axis: depth bleeds over edges.
const TRIM: f64 = 0.05;
/// Fewer points than this make no box.
const MIN_POINTS: usize = 20;

/// A box along the axes of the optical frame, in metres. It holds what the camera sees: the far side is not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Box3d {
    /// The middle.
    pub center: Point3<f64>,
    /// The extents along x, y and z.
    pub size: Vector3<f64>,
}

/// The boxes of labels 0 to `n_labels`, from metric depth of the size of `intrinsics`, row-major, NaN for none.
///
/// None for a label with too few points; all none if sizes differ.
pub fn boxes(
    labels: &[u16],
    n_labels: usize,
    metres: &[f32],
    intrinsics: &Intrinsics,
) -> Vec<Option<Box3d>> {
    let n_pixels = intrinsics.width as usize * intrinsics.height as usize;
    let mut points: Vec<Vec<Point3<f64>>> = vec![Vec::new(); n_labels];
    if labels.len() == n_pixels && metres.len() == n_pixels {
        for (i, (label, z)) in labels.iter().zip(metres).enumerate() {
            let (column, row) = (i % intrinsics.width as usize, i / intrinsics.width as usize);
            if let (Some(points), true) = (points.get_mut(usize::from(*label)), z.is_finite()) {
                let ray = intrinsics.ray(column as f64, row as f64);
                points.push(Point3::from(ray * f64::from(*z)));
            }
        }
    }
    points.iter().map(|points| around(points)).collect()
}

fn around(points: &[Point3<f64>]) -> Option<Box3d> {
    if points.len() < MIN_POINTS {
        return None;
    }
    let ends = [0, 1, 2].map(|axis| {
        let mut along: Vec<f64> = points.iter().map(|p| p[axis]).collect();
        along.sort_by(f64::total_cmp);
        let cut = (along.len() as f64 * TRIM) as usize;
        [along[cut], along[along.len() - 1 - cut]]
    });
    let low = Point3::from(ends.map(|[low, _]| low));
    let high = Point3::from(ends.map(|[_, high]| high));
    Some(Box3d {
        center: nalgebra::center(&low, &high),
        size: high - low,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_patch_has_its_width_height_and_place() {
        let k = [100.0, 0.0, 50.0, 0.0, 100.0, 40.0, 0.0, 0.0, 1.0];
        let camera = Intrinsics::from_k(&k, 100, 80).unwrap();
        let patch = |i: usize| (20..60).contains(&(i % 100)) && (10..30).contains(&(i / 100));
        let labels: Vec<u16> = (0..8000).map(|i| u16::from(patch(i))).collect();
        let metres: Vec<f32> = (0..8000)
            .map(|i| match (patch(i), i % 97) {
                (true, 0) => f32::NAN,
                (true, 1) => 30.0, // bleeding
                (true, _) => 2.0,
                _ => 5.0,
            })
            .collect();
        let found = boxes(&labels, 3, &metres, &camera);
        let patch = found[1].unwrap();
        // 40 by 20 pixels at 2 m, less what is trimmed.
        assert!(
            (patch.size - Vector3::new(0.72, 0.36, 0.0)).norm() < 0.05,
            "{patch:?}"
        );
        assert!(
            (patch.center - Point3::new(-0.21, -0.41, 2.0)).norm() < 0.03,
            "{patch:?}"
        );
        assert!(found[0].is_some());
        assert_eq!(found[2], None);
        assert!(
            boxes(&labels[1..], 2, &metres, &camera)
                .iter()
                .all(Option::is_none)
        );
    }
}
