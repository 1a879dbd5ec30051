//! Maps that do not look at the image, to compare the model's with.

use cooper_metric::median;
use cooper_scenes::{Scene, SceneConfig, Split};
use nalgebra::{Matrix3, Vector3};

use super::task::DepthTask;

/// The true median everywhere, metres: the best constant, which looks at the truth.
pub fn constant(task: &DepthTask) -> Vec<f64> {
    let middle = median(&task.valid_metres()).unwrap_or_default();
    vec![middle; task.truth().metres.len()]
}

/// 1 in the top row, 0 in the bottom row: relative depth of a floor, to be aligned.
pub fn gradient(width: u32, height: u32) -> Vec<f32> {
    let last = height.saturating_sub(1).max(1) as f32;
    (0..height)
        .flat_map(|y| std::iter::repeat_n(1.0 - y as f32 / last, width as usize))
        .collect()
}

/// The plane a·u + b·v + c that is nearest to the truth in least squares, metres; (u, v) is a pixel's place.
pub fn plane(task: &DepthTask) -> Vec<f64> {
    let truth = task.truth();
    let (half_width, half_height) = (f64::from(truth.width) / 2.0, f64::from(truth.height) / 2.0);
    let place = |i: usize| {
        let (x, y) = (i as u32 % truth.width, i as u32 / truth.width);
        Vector3::new(
            (f64::from(x) + 0.5) / half_width - 1.0,
            (f64::from(y) + 0.5) / half_height - 1.0,
            1.0,
        )
    };
    let (mut squares, mut products) = (Matrix3::zeros(), Vector3::zeros());
    for &i in task.valid() {
        let place = place(i);
        squares += place * place.transpose();
        products += place * f64::from(truth.metres[i]);
    }
    // Valid pixels on one line leave planes to choose from; the pseudo-inverse takes the flattest.
    let inverse = squares
        .pseudo_inverse(1e-9)
        .unwrap_or_else(|_| Matrix3::zeros());
    let coefficients = inverse * products;
    (0..truth.metres.len())
        .map(|i| coefficients.dot(&place(i)))
        .collect()
}

/// The mean depth image of some training scenes.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanDepth {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row-major.
    pub metres: Vec<f32>,
}

impl MeanDepth {
    /// The mean of the first `n_scenes` training scenes, at least one.
    pub fn from_training_scenes(config: &SceneConfig, n_scenes: u64) -> Self {
        let n_scenes = n_scenes.max(1);
        let n_pixels = config.width as usize * config.height as usize;
        let mut sums = vec![0f64; n_pixels];
        for index in 0..n_scenes {
            let scene = Scene::generate(config, Split::Train, index);
            for (sum, depth) in sums.iter_mut().zip(scene.depth) {
                *sum += f64::from(depth);
            }
        }
        Self {
            width: config.width,
            height: config.height,
            metres: sums
                .iter()
                .map(|sum| (sum / n_scenes as f64) as f32)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::crop::Crop;
    use super::super::source::DepthTruth;
    use super::super::task::DepthProtocol;
    use super::*;

    const ALL: DepthProtocol = DepthProtocol {
        range_m: [0.0, f64::INFINITY],
        crop: Crop::None,
    };

    #[test]
    fn a_plane_fits_a_plane_and_a_constant_takes_the_middle() {
        let metres = (0..12).map(|i| 3.0 + 0.5 * (i % 4) as f32 - 0.25 * (i / 4) as f32);
        let truth = DepthTruth {
            width: 4,
            height: 3,
            metres: metres.collect(),
        };
        let task = DepthTask::new(&truth, &ALL).unwrap();
        for (fitted, true_value) in plane(&task).iter().zip(&truth.metres) {
            assert!((fitted - f64::from(*true_value)).abs() < 1e-6);
        }
        // Sorted: 2.5, 2.75, 3, 3, 3.25, 3.5, 3.5, 3.75, 4, 4, 4.25, 4.5.
        assert_eq!(constant(&task), [3.5; 12]);
    }

    #[test]
    fn a_line_of_valid_pixels_is_no_obstacle() {
        let truth = DepthTruth {
            width: 3,
            height: 2,
            metres: vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0],
        };
        let task = DepthTask::new(&truth, &ALL).unwrap();
        let scores = task.scores(&plane(&task)).unwrap();
        assert!(scores.abs_rel < 1e-6, "{scores:?}");
    }

    #[test]
    fn a_gradient_runs_from_far_to_near() {
        assert_eq!(gradient(2, 3), [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]);
        assert_eq!(gradient(1, 1), [1.0]);
    }

    #[test]
    fn the_mean_image_is_the_mean() {
        let config = SceneConfig {
            width: 16,
            height: 12,
            ..SceneConfig::default()
        };
        let mean = MeanDepth::from_training_scenes(&config, 2);
        let [a, b] = [0, 1].map(|i| Scene::generate(&config, Split::Train, i).depth[5]);
        assert!((mean.metres[5] - (a + b) / 2.0).abs() < 1e-5);
    }
}
