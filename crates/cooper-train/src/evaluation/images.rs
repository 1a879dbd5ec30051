//! Rows of images that show how a map went: input, truth, prediction, error.

use cooper_imaging::spectral;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::depth::DepthTask;
use super::segmentation::SegmentationTruth;

/// Between images of a row, pixels.
const GAP: u32 = 4;
/// Pixels that do not count.
const UNKNOWN: Rgb<u8> = Rgb([96; 3]);
/// A relative error of this much is painted in full red.
const FULL_ERROR: f64 = 0.5;

/// Images side by side on white, all at the size of the first.
pub fn in_a_row(images: &[RgbImage]) -> RgbImage {
    let Some(first) = images.first() else {
        return RgbImage::default();
    };
    let (width, height) = first.dimensions();
    let n = images.len() as u32;
    let mut row = RgbImage::from_pixel(n * width + (n - 1) * GAP, height, Rgb([255; 3]));
    for (i, image) in (0..).zip(images) {
        let fitted = imageops::resize(image, width, height, FilterType::Nearest);
        imageops::replace(&mut row, &fitted, i64::from(i * (width + GAP)), 0);
    }
    row
}

/// Input, true depth, predicted depth (both near red, far violet, over the truth's range), relative error (white to red).
///
/// `metres` is the prediction at the truth's size.
pub fn depth_row(image: &RgbImage, task: &DepthTask, metres: &[f64]) -> RgbImage {
    let truth = task.truth();
    let (width, height) = (truth.width, truth.height);
    let counted = counted(task);
    let of_valid = || task.valid().iter().map(|&i| truth.metres[i]);
    let (near, far) = of_valid().fold((f32::MAX, f32::MIN), |(low, high), m| {
        (low.min(m), high.max(m))
    });
    let unit = |m: f32| (m - near) / (far - near).max(f32::MIN_POSITIVE);
    let colors = |values: Vec<f32>| spectral(&values, width, height);
    let true_colors = truth.metres.iter().zip(&counted);
    let true_colors = true_colors.map(|(&m, counts)| if *counts { unit(m) } else { f32::NAN });
    let errors = (0..counted.len()).map(|i| {
        let g = f64::from(truth.metres[i]);
        counted[i].then(|| (metres[i] - g).abs() / g)
    });
    in_a_row(&[
        imageops::resize(image, width, height, FilterType::Triangle),
        colors(true_colors.collect()),
        colors(metres.iter().map(|&m| unit(m as f32)).collect()),
        heat(errors, width, height),
    ])
}

/// Input, true and drawn colours, and the pixels in another paint (red on grey).
pub fn segmentation_row(image: &RgbImage, truth: &SegmentationTruth, drawn: &RgbImage) -> RgbImage {
    let (width, height) = truth.image.dimensions();
    let fitted = |image: &RgbImage, filter| imageops::resize(image, width, height, filter);
    let drawn = fitted(drawn, FilterType::Nearest);
    let wrong = RgbImage::from_fn(width, height, |x, y| {
        let (a, b) = (truth.image.get_pixel(x, y), drawn.get_pixel(x, y));
        let distance: i32 = (0..3)
            .map(|c| (i32::from(a.0[c]) - i32::from(b.0[c])).pow(2))
            .sum();
        // Half the distance between the nearest paints.
        if distance > 45 * 45 {
            Rgb([220, 30, 30])
        } else {
            UNKNOWN
        }
    });
    in_a_row(&[
        fitted(image, FilterType::Triangle),
        truth.image.clone(),
        drawn,
        wrong,
    ])
}

/// Which pixels of the truth count.
fn counted(task: &DepthTask) -> Vec<bool> {
    let mut counted = vec![false; task.truth().metres.len()];
    for &i in task.valid() {
        counted[i] = true;
    }
    counted
}

/// White at no error, red at [`FULL_ERROR`] and above, grey where there is none.
fn heat(mut errors: impl Iterator<Item = Option<f64>>, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |_, _| match errors.next().flatten() {
        Some(error) => {
            let rest = 255.0 * (1.0 - (error / FULL_ERROR).clamp(0.0, 1.0));
            Rgb([255, rest as u8, rest as u8])
        }
        None => UNKNOWN,
    })
}

#[cfg(test)]
mod tests {
    use super::super::depth::{Crop, DepthProtocol, DepthTruth};
    use super::*;

    #[test]
    fn a_row_has_the_first_images_height() {
        let small = RgbImage::from_pixel(2, 1, Rgb([1, 2, 3]));
        let large = RgbImage::from_pixel(8, 6, Rgb([9; 3]));
        let row = in_a_row(&[large, small]);
        assert_eq!(row.dimensions(), (8 + 4 + 8, 6));
        assert_eq!(row.get_pixel(19, 5).0, [1, 2, 3]);
        assert_eq!(row.get_pixel(9, 0).0, [255; 3]);
    }

    #[test]
    fn errors_are_red_and_what_does_not_count_is_grey() {
        let truth = DepthTruth {
            width: 3,
            height: 1,
            metres: vec![1.0, 2.0, 0.0],
        };
        let protocol = DepthProtocol {
            range_m: [0.0, 10.0],
            crop: Crop::None,
        };
        let task = DepthTask::new(&truth, &protocol).unwrap();
        let row = depth_row(&RgbImage::new(6, 2), &task, &[1.0, 4.0, 5.0]);
        assert_eq!(row.dimensions(), (4 * 3 + 3 * 4, 1));
        let error = |x: u32| row.get_pixel(3 * (3 + 4) + x, 0).0;
        assert_eq!(error(0), [255; 3]);
        assert_eq!(error(1), [255, 0, 0]);
        assert_eq!(error(2), UNKNOWN.0);
    }
}
