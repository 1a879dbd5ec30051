//! Means with 95 % intervals, by resampling.

use cooper_metric::{Interpolation, quantile};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

/// The share of resampled means that lie inside an interval.
const COVERAGE: f64 = 0.95;

/// A mean and the interval that it would be found in with other data of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean of all values.
    pub mean: f64,
    /// The 2.5 % quantile of the resampled means.
    pub low: f64,
    /// The 97.5 % quantile of the resampled means.
    pub high: f64,
    /// How many values there are.
    pub n: usize,
}

/// How intervals are found; the same settings and values give the same interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// How often the data are resampled.
    pub resamples: usize,
    /// Of the resampling.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 1000,
            seed: 0,
        }
    }
}

impl Bootstrap {
    /// The mean of independent values; none of no values.
    pub fn estimate(&self, values: &[f64]) -> Option<Estimate> {
        let alone: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
        self.clustered(&alone)
    }

    /// The mean of (cluster, value) pairs of which those of one cluster are drawn together:
    /// questions about one image succeed and fail together, so they are no independent evidence.
    pub fn clustered(&self, values: &[(usize, f64)]) -> Option<Estimate> {
        let clusters = sums(values);
        let mean = ratio(clusters.iter())?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut means: Vec<f64> = (0..self.resamples)
            .filter_map(|_| {
                let drawn =
                    (0..clusters.len()).map(|_| &clusters[rng.random_range(0..clusters.len())]);
                ratio(drawn)
            })
            .collect();
        let tail = (1.0 - COVERAGE) / 2.0;
        let mut at = |share| quantile(&mut means, share, Interpolation::Linear).unwrap_or(mean);
        Some(Estimate {
            mean,
            low: at(tail),
            high: at(1.0 - tail),
            n: values.len(),
        })
    }
}

/// Each cluster's sum and number of values, in the order of the clusters' numbers.
fn sums(values: &[(usize, f64)]) -> Vec<(f64, usize)> {
    let mut clusters = std::collections::BTreeMap::<usize, (f64, usize)>::new();
    for (cluster, value) in values {
        let (sum, n) = clusters.entry(*cluster).or_default();
        *sum += value;
        *n += 1;
    }
    clusters.into_values().collect()
}

fn ratio<'a>(clusters: impl Iterator<Item = &'a (f64, usize)>) -> Option<f64> {
    let (sum, n) = clusters.fold((0.0, 0), |(sum, n), (s, k)| (sum + s, n + k));
    (n > 0).then(|| sum / n as f64)
}

/// The mean; none of no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_values_have_no_mean() {
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn an_interval_is_the_same_each_time_and_covers_the_truth() {
        // 400 coins, half of them heads: the standard error is 0.025, so 95 % lie within 0.049.
        let coins: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let bootstrap = Bootstrap::default();
        let estimate = bootstrap.estimate(&coins).unwrap();
        assert_eq!(Some(estimate), bootstrap.estimate(&coins));
        assert_eq!((estimate.mean, estimate.n), (0.5, 400));
        assert!((estimate.low - 0.451).abs() < 0.008, "{estimate:?}");
        assert!((estimate.high - 0.549).abs() < 0.008, "{estimate:?}");
        let other = Bootstrap {
            seed: 1,
            ..bootstrap
        };
        assert_ne!(Some(estimate), other.estimate(&coins));
    }

    #[test]
    fn equal_values_have_no_width_and_no_values_no_mean() {
        let estimate = Bootstrap::default().estimate(&[3.0; 7]).unwrap();
        assert_eq!(
            (estimate.mean, estimate.low, estimate.high),
            (3.0, 3.0, 3.0)
        );
        assert_eq!(Bootstrap::default().estimate(&[]), None);
    }

    #[test]
    fn values_of_one_cluster_are_one_piece_of_evidence() {
        let bootstrap = Bootstrap::default();
        let alone: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
        // The same 40 values five times over, each five together.
        let together: Vec<(usize, f64)> = (0..200).map(|i| (i / 5, alone[i / 5])).collect();
        let (once, five) = (
            bootstrap.estimate(&alone).unwrap(),
            bootstrap.clustered(&together).unwrap(),
        );
        assert_eq!(
            (once.mean, once.low, once.high),
            (five.mean, five.low, five.high)
        );
        assert_eq!((once.n, five.n), (40, 200));
    }
}
