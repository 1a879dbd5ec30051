//! Multiple choice: letters, and wrong numbers that are far enough from the right one.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::super::sampling::{between, whole};

/// Choices of a question for a number.
const N_NUMBERS: usize = 4;
/// An estimate is off by at most this share: less than half of what lies between two choices.
const ESTIMATE_ERROR: f64 = 0.1;
/// Two of these numbers differ by at least this share of the larger one.
const LEAST_DIFFERENCE: f64 = 0.25;

/// The letter of a choice, from A on.
pub(super) fn letter(i: usize) -> char {
    // There are never more than four.
    char::from(b'A' + (i % 26) as u8)
}

/// Shuffle the right answer among the wrong ones: its letter and all choices.
pub(super) fn lettered(
    right: String,
    wrong: Vec<String>,
    rng: &mut StdRng,
) -> (String, Vec<String>) {
    let mut choices = wrong;
    choices.shuffle(rng);
    let at = whole(rng, 0, choices.len());
    choices.insert(at, right);
    (letter(at).to_string(), choices)
}

/// `Which is nearer? (A) the red box (B) the blue ball`
pub(super) fn with_choices(stem: &str, choices: &[String]) -> String {
    let mut text = stem.to_owned();
    for (i, choice) in choices.iter().enumerate() {
        text += &format!(" ({}) {choice}", letter(i));
    }
    text
}

/// How finely a number is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grain {
    /// Numbers are multiples of it, in metres.
    pub step: f64,
    /// Digits after the point.
    pub decimals: usize,
}

impl Grain {
    /// `2.4 m`
    pub(super) fn format(self, value_m: f64) -> String {
        self.format_steps(self.steps(value_m))
    }

    /// About the number.
    pub fn estimate(self, value_m: f64, rng: &mut StdRng) -> String {
        let share = between(rng, [1.0 - ESTIMATE_ERROR, 1.0 + ESTIMATE_ERROR]);
        self.format(value_m * share)
    }

    /// Three wrong numbers; the right one is equally likely to be the smallest, second, third or largest.
    pub(super) fn wrong(self, value_m: f64, rng: &mut StdRng) -> Vec<String> {
        let right = self.steps(value_m);
        let n_smaller = whole(rng, 0, N_NUMBERS - 1);
        let mut smaller = right;
        let mut found = Vec::with_capacity(N_NUMBERS - 1);
        for _ in 0..n_smaller {
            smaller = (smaller / Self::ratio(rng)).floor();
            if smaller < 1.0 {
                break;
            }
            found.push(smaller);
        }
        let mut larger = right;
        while found.len() < N_NUMBERS - 1 {
            larger = (larger * Self::ratio(rng)).ceil();
            found.push(larger);
        }
        found.into_iter().map(|n| self.format_steps(n)).collect()
    }

    fn steps(self, value_m: f64) -> f64 {
        (value_m / self.step).round().max(1.0)
    }

    fn format_steps(self, n_steps: f64) -> String {
        format!("{:.*} m", self.decimals, n_steps * self.step)
    }

    /// How much larger the next number is.
    fn ratio(rng: &mut StdRng) -> f64 {
        let least = 1.0 / (1.0 - LEAST_DIFFERENCE);
        between(rng, [least, 1.25 * least])
    }
}

/// Three wrong counts; with the right one they follow each other.
pub(super) fn wrong_counts(right: usize, rng: &mut StdRng) -> Vec<String> {
    let first = right - whole(rng, 0, right.min(N_NUMBERS - 1));
    (first..first + N_NUMBERS)
        .filter(|&n| n != right)
        .map(|n| n.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::Split;
    use super::super::super::sampling::scene_rng;
    use super::*;

    #[test]
    fn numbers_differ_by_a_quarter() {
        let mut rng = scene_rng(Split::Test, 1);
        let number = |text: &str| text.trim_end_matches(" m").parse::<f64>().unwrap();
        for step in [0.05, 0.1] {
            let grain = Grain { step, decimals: 2 };
            for i in 5..120 {
                let value = f64::from(i) * 0.05;
                let mut all: Vec<f64> = grain
                    .wrong(value, &mut rng)
                    .iter()
                    .map(|t| number(t))
                    .collect();
                all.push(number(&grain.format(value)));
                all.sort_by(f64::total_cmp);
                assert!(all.len() == 4 && all[0] > 0.0, "{all:?}");
                for pair in all.windows(2) {
                    assert!((pair[1] - pair[0]) / pair[1] > 0.2499, "{all:?}");
                }
            }
        }
    }

    #[test]
    fn counts_follow_each_other() {
        let mut rng = scene_rng(Split::Test, 2);
        for right in 0..6usize {
            let wrong = wrong_counts(right, &mut rng);
            assert!(wrong.len() == 3 && !wrong.contains(&right.to_string()));
        }
    }
}
