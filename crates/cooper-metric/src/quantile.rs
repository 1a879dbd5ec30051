//! Quantiles of a sample.

/// The value of a quantile that lies between two members of the sample; the names are numpy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearer member, the higher one in the middle.
    Nearest,
    /// On the line between both.
    Linear,
}

/// The quantile of some values at a share in [0, 1], reordering them; none of no values.
pub fn quantile(values: &mut [f64], share: f64, interpolation: Interpolation) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let at = (share * last as f64).clamp(0.0, last as f64);
    let rank = match interpolation {
        Interpolation::Nearest => at.round(),
        Interpolation::Linear => at.floor(),
    };
    let (_, low, above) = values.select_nth_unstable_by(rank as usize, f64::total_cmp);
    let low = *low;
    let rest = match interpolation {
        Interpolation::Nearest => 0.0,
        Interpolation::Linear => at - rank,
    };
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(next) if rest > 0.0 => Some(low + (next - low) * rest),
        _ => Some(low),
    }
}

/// The middle value, or the mean of both in the middle; none of no values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&mut values.to_vec(), 0.5, Interpolation::Linear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], share: f64, nearest: Option<f64>, linear: Option<f64>) {
        let at = |interpolation| quantile(&mut values.to_vec(), share, interpolation);
        assert_eq!(at(Interpolation::Nearest), nearest);
        assert_eq!(at(Interpolation::Linear), linear);
    }

    #[test]
    fn quantiles_are_members_or_lie_between() {
        check(&[3.0, 1.0, 2.0], 0.5, Some(2.0), Some(2.0));
        check(&[3.0, 1.0, 2.0], 1.0, Some(3.0), Some(3.0));
        check(&[4.0, 1.0, 2.0], 0.75, Some(4.0), Some(3.0));
        check(&[1.0, 2.0], 0.5, Some(2.0), Some(1.5));
        check(&[], 0.5, None, None);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
