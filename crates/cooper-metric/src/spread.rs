//! Uncertainty of a drawn map: what maps of other seeds say at the same pixel.
//!
//! It measures how far the model hesitates, not how far it is wrong: where all seeds err together, they agree.

use cooper_imaging::{Error, Result};

/// Several maps of one image in one.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// The mean of the maps, row-major; NaN where a map has no number.
    pub mean: Vec<f32>,
    /// `exp(-deviation / scale)` in [0, 1], where `deviation` is the standard deviation of the maps: 1 where all agree,
    /// 0.37 where they deviate by `scale`, 0 where a map has no number.
    pub confidence: Vec<f32>,
}

/// Combine maps of one image that were drawn with different seeds. `scale` is the deviation, in the maps' own unit,
/// at which the confidence has fallen to 0.37; 0.05 suits relative depth, and it is above 0.
///
/// The deviation is the unbiased one (n - 1); of two or three maps it is itself rough.
///
/// # Errors
/// [`Error::InvalidInput`] if there are fewer than two maps, their sizes differ, or `scale` is not above 0.
pub fn spread(maps: &[&[f32]], scale: f64) -> Result<Spread> {
    let [first, others @ ..] = maps else {
        return refused("expected at least 2, got 0");
    };
    if others.is_empty() {
        return refused("expected at least 2, got 1: a single map says nothing about its seed");
    }
    if let Some(other) = others.iter().find(|map| map.len() != first.len()) {
        let (expected, found) = (first.len(), other.len());
        return refused(format!("expected {expected} values in each, got {found}"));
    }
    if !scale.is_finite() || scale <= 0.0 {
        return refused(format!("expected a scale above 0, got {scale}"));
    }
    let pixel = |i: usize| {
        let (mean, deviation) = mean_and_deviation(maps.iter().map(|map| f64::from(map[i])));
        let confidence = (-deviation / scale).exp();
        if confidence.is_nan() {
            (f32::NAN, 0.0)
        } else {
            (mean as f32, confidence as f32)
        }
    };
    let (mean, confidence) = (0..first.len()).map(pixel).unzip();
    Ok(Spread { mean, confidence })
}

fn mean_and_deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

fn refused<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::invalid("maps", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_confidences_by_hand() {
        let (a, b, c) = ([0.5, 0.1, 0.2], [0.5, 0.2, f32::NAN], [0.5, 0.3, 0.2]);
        let spread = spread(&[&a, &b, &c], 0.1).unwrap();
        assert_eq!((spread.mean[0], spread.confidence[0]), (0.5, 1.0));
        assert!((spread.mean[1] - 0.2).abs() < 1e-6);
        // The standard deviation of 0.1, 0.2 and 0.3 is 0.1.
        assert!((spread.confidence[1] - (-1f32).exp()).abs() < 1e-6);
        assert!(spread.mean[2].is_nan() && spread.confidence[2] == 0.0);
    }

    #[test]
    fn strange_values_have_no_confidence() {
        let (a, b) = (
            [f32::INFINITY, f32::MAX, f32::NAN],
            [f32::INFINITY, -f32::MAX, 1.0],
        );
        let spread = spread(&[&a, &b], 0.05).unwrap();
        assert_eq!(spread.confidence, [0.0; 3]);
        assert_eq!(super::spread(&[&[], &[]], 0.05).unwrap().mean, [0f32; 0]);
    }

    #[test]
    fn too_few_maps_and_other_sizes_are_refused() {
        let check = |maps: &[&[f32]], scale: f64, expected: &str| {
            let words = spread(maps, scale).unwrap_err().to_string();
            assert!(words.contains(expected), "{words}");
        };
        check(&[], 0.05, "got 0");
        check(&[&[0.5]], 0.05, "got 1");
        check(
            &[&[0.5], &[0.5, 0.6]],
            0.05,
            "expected 1 values in each, got 2",
        );
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            check(&[&[0.5], &[0.5]], scale, "scale above 0");
        }
    }
}
