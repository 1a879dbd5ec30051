//! One image's truth and the pixels that count, against which predictions are held.

use cooper_model::{Error, Result};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};
use serde::Serialize;

use super::alignment::fit_scale_shift;
use super::crop::Crop;
use super::metrics::DepthScores;
use super::source::DepthTruth;

/// The least predicted depth, metres: logarithms and ratios need one.
const LEAST_M: f64 = 1e-6;

/// Which pixels count and how predictions become metres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DepthProtocol {
    /// Truth between these counts, and predictions are clamped to them, metres; the upper end may be infinite.
    pub range_m: [f64; 2],
    /// Which part of the image counts.
    pub crop: Crop,
}

/// One image's truth with the pixels that count.
#[derive(Clone, Debug)]
pub struct DepthTask<'t> {
    truth: &'t DepthTruth,
    range_m: [f64; 2],
    valid: Vec<usize>,
}

impl<'t> DepthTask<'t> {
    /// Find the pixels whose truth lies inside the range and the crop.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is none or the range is no range.
    pub fn new(truth: &'t DepthTruth, protocol: &DepthProtocol) -> Result<Self> {
        let [low, high] = protocol.range_m;
        // Written so that NaN is refused.
        if !(0.0 <= low && low < high) {
            let why = format!("expected 0 <= low < high, got {low} and {high}");
            return Err(Error::invalid("range of depth", why));
        }
        let window = protocol.crop.window(truth.width, truth.height);
        let inside = |i: usize| {
            let (x, y) = (i as u32 % truth.width, i as u32 / truth.width);
            let metres = f64::from(truth.metres[i]);
            low < metres && metres < high && metres.is_finite() && window.contains(x, y)
        };
        let valid: Vec<usize> = (0..truth.metres.len()).filter(|&i| inside(i)).collect();
        if valid.is_empty() {
            let why = format!("expected depth between {low} and {high} m in the crop, got none");
            return Err(Error::invalid("true depth", why));
        }
        Ok(Self {
            truth,
            range_m: protocol.range_m,
            valid,
        })
    }

    /// The truth.
    pub fn truth(&self) -> &DepthTruth {
        self.truth
    }

    /// The pixels that count, row-major.
    pub fn valid(&self) -> &[usize] {
        &self.valid
    }

    /// A relative map of any size at the truth's size.
    ///
    /// # Errors
    /// [`Error::Internal`] if the values are not as many as the size says or not finite.
    pub fn fitted(&self, relative: &[f32], width: u32, height: u32) -> Result<Vec<f32>> {
        if !relative.iter().all(|v| v.is_finite()) {
            let why = "a predicted depth map has values that are no numbers";
            return Err(Error::Internal(why.into()));
        }
        let wrong_size = || Error::Internal(format!("a depth map is not {width} x {height}"));
        // A buffer may be too long for its image.
        let is_whole = relative.len() == width as usize * height as usize;
        let map: Option<ImageBuffer<Luma<f32>, _>> = is_whole
            .then(|| ImageBuffer::from_raw(width, height, relative.to_vec()))
            .flatten();
        let map = map.ok_or_else(wrong_size)?;
        let (width, height) = (self.truth.width, self.truth.height);
        Ok(if map.dimensions() == (width, height) {
            map.into_raw()
        } else {
            imageops::resize(&map, width, height, FilterType::Triangle).into_raw()
        })
    }

    /// The whole map in metres after the best scale and shift over the valid pixels; `relative` at the truth's size.
    pub fn aligned(&self, relative: &[f32]) -> Vec<f64> {
        let pairs = self
            .valid
            .iter()
            .map(|&i| (f64::from(relative[i]), f64::from(self.truth.metres[i])));
        let (scale, shift) = fit_scale_shift(pairs);
        relative
            .iter()
            .map(|&p| scale * f64::from(p) + shift)
            .collect()
    }

    /// The whole map in metres by the encoding of the training data: `low + p·(high − low)`.
    pub fn metric(&self, relative: &[f32]) -> Vec<f64> {
        let [low, high] = self.range_m;
        relative
            .iter()
            .map(|&p| low + f64::from(p) * (high - low))
            .collect()
    }

    /// Figures of a map in metres, clamped to the range.
    pub fn scores(&self, metres: &[f64]) -> Option<DepthScores> {
        let [low, high] = self.range_m;
        let pairs = self.valid.iter().map(|&i| {
            let predicted = metres[i].clamp(low, high).max(LEAST_M);
            (predicted, f64::from(self.truth.metres[i]))
        });
        DepthScores::from_pairs(pairs)
    }

    /// True metres of the valid pixels.
    pub(super) fn valid_metres(&self) -> Vec<f64> {
        let metres = |&i: &usize| f64::from(self.truth.metres[i]);
        self.valid.iter().map(metres).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(width: u32, height: u32, metres: &[f32]) -> DepthTruth {
        DepthTruth {
            width,
            height,
            metres: metres.to_vec(),
        }
    }

    const ALL: DepthProtocol = DepthProtocol {
        range_m: [0.0, 10.0],
        crop: Crop::None,
    };

    #[test]
    fn an_affine_map_is_perfect_after_alignment_and_metric_by_its_code() {
        let truth = truth(2, 2, &[1.0, 2.0, 4.0, 8.0]);
        let task = DepthTask::new(&truth, &ALL).unwrap();
        let relative: Vec<f32> = truth.metres.iter().map(|g| (g - 0.5) / 16.0).collect();
        let scores = task.scores(&task.aligned(&relative)).unwrap();
        assert!(scores.abs_rel < 1e-6 && scores.delta1 == 1.0, "{scores:?}");
        let encoded: Vec<f32> = truth.metres.iter().map(|g| g / 10.0).collect();
        let scores = task.scores(&task.metric(&encoded)).unwrap();
        assert!(scores.abs_rel < 1e-6 && scores.rmse < 1e-6, "{scores:?}");
    }

    #[test]
    fn what_is_outside_the_range_or_unknown_does_not_count() {
        let truth = truth(3, 2, &[0.0, 1.0, 10.0, f32::NAN, 9.5, f32::INFINITY]);
        let task = DepthTask::new(&truth, &ALL).unwrap();
        assert_eq!(task.valid(), [1, 4]);
        let endless = DepthProtocol {
            range_m: [0.0, f64::INFINITY],
            ..ALL
        };
        assert_eq!(DepthTask::new(&truth, &endless).unwrap().valid(), [1, 2, 4]);
        let narrow = DepthProtocol {
            range_m: [2.0, 3.0],
            ..ALL
        };
        let error = DepthTask::new(&truth, &narrow).unwrap_err().to_string();
        assert!(error.contains("between 2 and 3 m"), "{error}");
    }

    #[test]
    fn predictions_are_clamped_to_the_range() {
        let truth = truth(2, 1, &[1.0, 8.0]);
        let task = DepthTask::new(&truth, &ALL).unwrap();
        let scores = task.scores(&[-5.0, 80.0]).unwrap();
        // 1e-6 instead of 1, and 10 instead of 8.
        assert!((scores.abs_rel - (1.0 - 1e-6 + 0.25) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn maps_are_brought_to_the_truths_size() {
        let truth = truth(4, 2, &[1.0; 8]);
        let task = DepthTask::new(&truth, &ALL).unwrap();
        assert_eq!(task.fitted(&[0.5; 2], 2, 1).unwrap(), [0.5; 8]);
        assert!(task.fitted(&[0.5; 3], 2, 1).is_err());
        assert!(task.fitted(&[0.5, f32::NAN], 2, 1).is_err());
    }
}
