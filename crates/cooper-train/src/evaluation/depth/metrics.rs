//! The nine figures of monocular depth.

use serde::Serialize;

/// Figures of one map; sums run over its valid pixels, with `p` predicted and `g` true metres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DepthScores {
    /// Mean of |p − g| / g.
    pub abs_rel: f64,
    /// Mean of (p − g)² / g, metres.
    pub sq_rel: f64,
    /// Root of the mean of (p − g)², metres.
    pub rmse: f64,
    /// Root of the mean of (ln p − ln g)².
    pub rmse_log: f64,
    /// Mean of |log10 p − log10 g|.
    pub log10: f64,
    /// Share of pixels with max(p / g, g / p) < 1.25.
    pub delta1: f64,
    /// The same with 1.25².
    pub delta2: f64,
    /// The same with 1.25³.
    pub delta3: f64,
    /// 100 · the standard deviation of ln p − ln g.
    pub si_log: f64,
}

/// A figure's name and where to find it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As in papers.
    pub name: &'static str,
    /// The field's name, as in JSON.
    pub key: &'static str,
    /// Its value.
    pub value: fn(&DepthScores) -> f64,
}

/// All figures, in the usual order.
pub const METRICS: [Metric; 9] = [
    Metric::new("AbsRel", "abs_rel", |s| s.abs_rel),
    Metric::new("SqRel", "sq_rel", |s| s.sq_rel),
    Metric::new("RMSE", "rmse", |s| s.rmse),
    Metric::new("RMSElog", "rmse_log", |s| s.rmse_log),
    Metric::new("log10", "log10", |s| s.log10),
    Metric::new("δ1", "delta1", |s| s.delta1),
    Metric::new("δ2", "delta2", |s| s.delta2),
    Metric::new("δ3", "delta3", |s| s.delta3),
    Metric::new("SILog", "si_log", |s| s.si_log),
];

impl Metric {
    const fn new(name: &'static str, key: &'static str, value: fn(&DepthScores) -> f64) -> Self {
        Self { name, key, value }
    }
}

impl DepthScores {
    /// Compare (predicted, true) metres, all above 0; none of no pixels.
    ///
    /// Source: COOPER's depth evaluation (`cooper_spec.md` §10.3).
    pub fn from_pairs(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut sums = Sums::default();
        pairs.into_iter().for_each(|(p, g)| sums.add(p, g));
        sums.means()
    }
}

#[derive(Default)]
struct Sums {
    n: usize,
    abs_rel: f64,
    sq_rel: f64,
    square: f64,
    log: f64,
    log_abs: f64,
    log_square: f64,
    within: [usize; 3],
}

impl Sums {
    fn add(&mut self, p: f64, g: f64) {
        let difference = p - g;
        let log = p.ln() - g.ln();
        let ratio = (p / g).max(g / p);
        self.n += 1;
        self.abs_rel += difference.abs() / g;
        self.sq_rel += difference * difference / g;
        self.square += difference * difference;
        self.log += log;
        self.log_abs += log.abs();
        self.log_square += log * log;
        for (k, n) in (1..).zip(&mut self.within) {
            *n += usize::from(ratio < 1.25f64.powi(k));
        }
    }

    fn means(&self) -> Option<DepthScores> {
        let n = (self.n > 0).then_some(self.n as f64)?;
        let log = self.log / n;
        let delta = |k: usize| self.within[k] as f64 / n;
        Some(DepthScores {
            abs_rel: self.abs_rel / n,
            sq_rel: self.sq_rel / n,
            rmse: (self.square / n).sqrt(),
            rmse_log: (self.log_square / n).sqrt(),
            log10: self.log_abs / n / std::f64::consts::LN_10,
            delta1: delta(0),
            delta2: delta(1),
            delta3: delta(2),
            // Rounding may leave a variance just below 0.
            si_log: 100.0 * (self.log_square / n - log * log).max(0.0).sqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn four_pixels_by_hand() {
        // Ratios 1.2, 1.5, 2, 1: within 1.25, 1.25² = 1.5625, none (1.25³ = 1.953125), within.
        let pairs = [(1.2, 1.0), (3.0, 2.0), (2.0, 4.0), (5.0, 5.0)];
        let scores = DepthScores::from_pairs(pairs).unwrap();
        assert!(near(scores.abs_rel, (0.2 + 0.5 + 0.5) / 4.0));
        assert!(near(scores.sq_rel, (0.04 + 0.5 + 1.0) / 4.0));
        assert!(near(scores.rmse, ((0.04 + 1.0 + 4.0) / 4.0f64).sqrt()));
        let logs = [1.2f64.ln(), 1.5f64.ln(), 0.5f64.ln(), 0.0];
        let square: f64 = logs.iter().map(|e| e * e).sum::<f64>() / 4.0;
        let mean: f64 = logs.iter().sum::<f64>() / 4.0;
        assert!(near(scores.rmse_log, square.sqrt()));
        let log10 = (1.2f64.log10() + 1.5f64.log10() + 2f64.log10()) / 4.0;
        assert!(near(scores.log10, log10));
        assert_eq!(
            (scores.delta1, scores.delta2, scores.delta3),
            (0.5, 0.75, 0.75)
        );
        assert!(near(scores.si_log, 100.0 * (square - mean * mean).sqrt()));
    }

    #[test]
    fn a_constant_factor_is_invisible_to_silog_only() {
        let scores = DepthScores::from_pairs([(2.0, 1.0), (6.0, 3.0)]).unwrap();
        assert!(scores.si_log < 1e-6, "{scores:?}");
        assert!(near(scores.abs_rel, 1.0) && near(scores.rmse_log, 2f64.ln()));
        assert_eq!(scores.delta3, 0.0);
        // The bound itself is outside.
        assert_eq!(DepthScores::from_pairs([(1.25, 1.0)]).unwrap().delta1, 0.0);
    }

    #[test]
    fn no_pixels_have_no_figures() {
        assert_eq!(DepthScores::from_pairs([]), None);
    }
}
