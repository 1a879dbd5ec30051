//! Which members of a data set are shown: the best, those in the middle, the worst.

/// Up to `k` best, `k` middle and `k` worst members by quality (more is better), as (`worst_1`, index); none twice.
///
/// With few members, the worst come first, then the best.
pub fn cases(qualities: &[f64], k: usize) -> Vec<(String, usize)> {
    let mut order: Vec<usize> = (0..qualities.len()).collect();
    // Stable: equal ones stay in the order of the data.
    order.sort_by(|&a, &b| qualities[a].total_cmp(&qualities[b]));
    let center = order.len().saturating_sub(1) / 2;
    let mut places: Vec<usize> = (0..order.len()).collect();
    places.sort_by_key(|place| place.abs_diff(center));
    let middle: Vec<usize> = places.into_iter().map(|place| order[place]).collect();
    let mut chosen: Vec<(String, usize)> = Vec::new();
    let from_best: Vec<usize> = order.iter().rev().copied().collect();
    for (name, ranked) in [("worst", &order), ("best", &from_best), ("median", &middle)] {
        let left: Vec<usize> = ranked
            .iter()
            .copied()
            .filter(|i| chosen.iter().all(|(_, taken)| taken != i))
            .take(k)
            .collect();
        let named = left.into_iter().zip(1..);
        chosen.extend(named.map(|(i, n)| (format!("{name}_{n}"), i)));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(qualities: &[f64], k: usize, expected: &[(&str, usize)]) {
        let cases = cases(qualities, k);
        let cases: Vec<(&str, usize)> = cases.iter().map(|(n, i)| (n.as_str(), *i)).collect();
        assert_eq!(cases, expected);
    }

    #[test]
    fn ends_and_middle_are_shown() {
        let qualities = [0.5, 0.1, 0.9, 0.3, 0.7];
        check(
            &qualities,
            1,
            &[("worst_1", 1), ("best_1", 2), ("median_1", 0)],
        );
        check(
            &qualities,
            2,
            &[
                ("worst_1", 1),
                ("worst_2", 3),
                ("best_1", 2),
                ("best_2", 4),
                ("median_1", 0),
            ],
        );
    }

    #[test]
    fn few_members_are_shown_once() {
        check(&[0.5], 3, &[("worst_1", 0)]);
        check(&[], 3, &[]);
        check(&[1.0, 0.0], 0, &[]);
    }
}
