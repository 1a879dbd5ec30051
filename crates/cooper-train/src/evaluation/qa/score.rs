//! What an answer is worth.

use serde::Serialize;

use super::extract::{Extracted, plain};
use super::item::{AnswerForm, Truth};

/// When a length counts as right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthRule {
    /// Off by at most a quarter of the truth.
    #[default]
    Within25,
    /// Less than twice and more than half the truth (Q-SpatialBench).
    Factor2,
}

/// How far a number or a length is from the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct NumberScores {
    /// |p − g| / g; none if no number was said.
    pub relative_error: Option<f64>,
    /// See [`mean_relative_accuracy`].
    pub mra: f64,
    /// Whether max(p / g, g / p) < 2.
    pub within_factor_2: bool,
    /// Whether |p − g| / g ≤ 0.25.
    pub within_25: bool,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// From 0 to 1.
    pub value: f64,
    /// Whether something of the asked form was in the answer.
    pub readable: bool,
    /// Of numbers and lengths.
    pub number: Option<NumberScores>,
}

/// Score what was read from an answer: letters, yes and no, words and whole numbers are right or wrong, numbers have
/// their mean relative accuracy, lengths are right by `rule`. Nothing read scores nothing.
///
/// Source: VLMEvalKit's SIBench and Q-SpatialBench (`cooper_spec.md` §10.1).
pub fn score(truth: &Truth, extracted: Option<&Extracted>, rule: LengthRule) -> Score {
    let exact = |is_right: bool| Score {
        value: f64::from(u8::from(is_right)),
        readable: true,
        number: None,
    };
    match (&truth.form, extracted) {
        (_, Some(Extracted::Grade(grade))) => Score {
            value: grade.clamp(0.0, 1.0),
            readable: true,
            number: None,
        },
        (AnswerForm::Choice(_), Some(Extracted::Letter(letter))) => {
            exact(truth.text == letter.to_string())
        }
        (AnswerForm::YesNo, Some(Extracted::Yes(yes))) => {
            exact(truth.text == if *yes { "yes" } else { "no" })
        }
        (AnswerForm::Integer(g), Some(Extracted::Number(p))) => exact(p == g),
        (AnswerForm::Text, Some(Extracted::Words(words))) => exact(same_words(&truth.text, words)),
        (AnswerForm::Number(g), said) => {
            let said = match said {
                Some(Extracted::Number(p)) => Some(*p),
                _ => None,
            };
            let number = NumberScores::new(said, *g);
            number.into_score(number.mra, said.is_some())
        }
        (AnswerForm::Length { cm, .. }, said) => {
            let said = match said {
                Some(Extracted::LengthCm(p)) => Some(*p),
                _ => None,
            };
            let number = NumberScores::new(said, *cm);
            let is_right = match rule {
                LengthRule::Within25 => number.within_25,
                LengthRule::Factor2 => number.within_factor_2,
            };
            number.into_score(f64::from(u8::from(is_right)), said.is_some())
        }
        _ => Score::default(),
    }
}

/// The share of the ten θ of 0.5, 0.55, … 0.95 for which |p − g| / |g| < 1 − θ; for a true 0 whether it was said.
///
/// Upstream divides by g itself, so that a negative truth is always met.
pub fn mean_relative_accuracy(p: f64, g: f64) -> f64 {
    if g == 0.0 {
        return f64::from(u8::from(p == 0.0));
    }
    let error = (p - g).abs() / g.abs();
    let thetas = (0..10).map(|i| 0.5 + 0.05 * f64::from(i));
    thetas.filter(|theta| error < 1.0 - theta).count() as f64 / 10.0
}

impl NumberScores {
    fn new(said: Option<f64>, g: f64) -> Self {
        let Some(p) = said else {
            return Self::default();
        };
        let error = (p - g).abs() / g.abs();
        Self {
            // Of a true 0 there is no share.
            relative_error: Some(error).filter(|e| e.is_finite()),
            mra: mean_relative_accuracy(p, g),
            within_factor_2: p / g > 0.0 && (p / g).max(g / p) < 2.0,
            // 0.25 of a decimal fraction is seldom met to the last bit.
            within_25: error <= 0.25 + 1e-9,
        }
    }

    fn into_score(self, value: f64, readable: bool) -> Score {
        Score {
            value,
            readable,
            number: Some(self),
        }
    }
}

/// Whether words are the true ones. MM-Vet's truths list alternatives (`<OR>`) of parts (`<AND>`) to be mentioned.
fn same_words(truth: &str, words: &str) -> bool {
    if !truth.contains("<AND>") && !truth.contains("<OR>") {
        return plain(truth) == words;
    }
    let mentions = |part: &str| words.contains(&plain(part));
    truth
        .split("<OR>")
        .any(|parts| parts.split("<AND>").all(mentions))
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::LengthUnit;

    use super::super::extract::extract;
    use super::*;

    fn value(form: AnswerForm, truth: &str, answer: &str, rule: LengthRule) -> f64 {
        let truth = Truth {
            text: truth.into(),
            form,
        };
        score(&truth, extract(&truth.form, answer).as_ref(), rule).value
    }

    #[test]
    fn mean_relative_accuracy_by_hand() {
        // Errors: 0, 4 %, 9 %, 20.1 %, 49 %, 50 %, 100 %; bounds 50 %, 45 %, … 5 %.
        for (p, expected) in [
            (100.0, 1.0),
            (104.0, 1.0),
            (91.0, 0.9),
            (120.1, 0.6),
            (149.0, 0.1),
            (150.0, 0.0),
            (0.0, 0.0),
        ] {
            assert_eq!(mean_relative_accuracy(p, 100.0), expected, "{p}");
        }
        assert_eq!(mean_relative_accuracy(0.0, 0.0), 1.0);
        assert_eq!(mean_relative_accuracy(1.0, 0.0), 0.0);
        assert_eq!(mean_relative_accuracy(5.0, -5.0), 0.0);
    }

    #[test]
    fn lengths_by_either_rule() {
        let length = |answer: &str, rule| {
            let form = AnswerForm::Length {
                cm: 200.0,
                unit: LengthUnit::Meter,
            };
            value(form, "2 m", answer, rule)
        };
        for (answer, near, factor) in [
            ("2 m", 1.0, 1.0),
            ("2.5 m", 1.0, 1.0),
            ("1.5", 1.0, 1.0),
            ("251 cm", 0.0, 1.0),
            ("3.9 m", 0.0, 1.0),
            ("4 m", 0.0, 0.0),
            ("1 m", 0.0, 0.0),
            ("101 cm", 0.0, 1.0),
            ("6 ft", 1.0, 1.0),
            ("no idea", 0.0, 0.0),
        ] {
            assert_eq!(length(answer, LengthRule::Within25), near, "{answer}");
            assert_eq!(length(answer, LengthRule::Factor2), factor, "{answer}");
        }
    }

    #[test]
    fn the_other_forms_are_right_or_wrong() {
        let v = |form, truth, answer| value(form, truth, answer, LengthRule::default());
        let choices = || AnswerForm::Choice(vec!["red".into(), "blue".into()]);
        assert_eq!(v(choices(), "B", "(b)"), 1.0);
        assert_eq!(v(choices(), "B", "red"), 0.0);
        assert_eq!(v(AnswerForm::YesNo, "no", "No."), 1.0);
        assert_eq!(v(AnswerForm::Integer(3.0), "3", "three"), 1.0);
        assert_eq!(v(AnswerForm::Integer(3.0), "3", "3.1"), 0.0);
        assert_eq!(v(AnswerForm::Number(10.0), "10", "9.1"), 0.9);
        assert_eq!(v(AnswerForm::Text, "the red box", "Red box."), 1.0);
        assert_eq!(v(AnswerForm::Text, "the red box", "box"), 0.0);
        let listed = "x=1<AND>2<OR>twelve";
        assert_eq!(v(AnswerForm::Text, listed, "It is X=1, so 2"), 1.0);
        assert_eq!(v(AnswerForm::Text, listed, "about twelve"), 1.0);
        assert_eq!(v(AnswerForm::Text, listed, "2"), 0.0);
    }

    #[test]
    fn unreadable_numbers_score_nothing_but_count() {
        let truth = Truth {
            text: "2.5".into(),
            form: AnswerForm::Number(2.5),
        };
        let nothing = score(&truth, None, LengthRule::default());
        assert_eq!((nothing.value, nothing.readable), (0.0, false));
        assert_eq!(nothing.number, Some(NumberScores::default()));
    }
}
