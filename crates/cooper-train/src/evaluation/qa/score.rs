//! What an answer is worth.

use cooper_model::reasoning::answers::{
    AnswerForm, LengthRule, Reading, Truth, mean_relative_accuracy,
};
use serde::Serialize;

/// What was found in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Extracted {
    /// What it says.
    Read(Reading),
    /// How right a judge finds it, from 0 to 1.
    Grade(f64),
}

impl Extracted {
    /// Read an answer without a judge.
    pub fn by_rules(form: &AnswerForm, answer: &str) -> Option<Self> {
        form.read(answer).map(Self::Read)
    }
}

/// How far a number or a length is from the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct NumberScores {
    /// |p − g| / g; none if no number was found.
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

/// Score what was found in an answer: a judge's grade as it is, a reading by [`Truth::credit`]. Nothing found scores 0.
pub fn score(truth: &Truth, extracted: Option<&Extracted>, rule: LengthRule) -> Score {
    let reading = match extracted {
        Some(Extracted::Grade(grade)) => {
            return Score {
                value: grade.clamp(0.0, 1.0),
                readable: true,
                number: None,
            };
        }
        Some(Extracted::Read(reading)) => Some(reading),
        None => None,
    };
    let credit = reading.and_then(|reading| truth.credit(reading, rule));
    Score {
        value: credit.unwrap_or(0.0),
        readable: credit.is_some(),
        number: NumberScores::of(&truth.form, reading),
    }
}

impl NumberScores {
    /// None where no number is asked for.
    fn of(form: &AnswerForm, reading: Option<&Reading>) -> Option<Self> {
        let (number, truth) = match (form, reading) {
            (AnswerForm::Number(truth), Some(Reading::Number(number))) => (number, truth),
            (AnswerForm::Length { cm, .. }, Some(Reading::LengthCm(length))) => (length, cm),
            (AnswerForm::Number(_) | AnswerForm::Length { .. }, _) => return Some(Self::default()),
            _ => return None,
        };
        let (p, g) = (*number, *truth);
        Some(Self {
            // Of a true 0 there is no share.
            relative_error: Some((p - g).abs() / g.abs()).filter(|error| error.is_finite()),
            mra: mean_relative_accuracy(p, g),
            within_factor_2: LengthRule::Factor2.accepts(p, g),
            within_25: LengthRule::Within25.accepts(p, g),
        })
    }
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::answers::{AnswerForm, LengthUnit};

    use super::*;

    fn value(form: AnswerForm, truth: &str, answer: &str, rule: LengthRule) -> f64 {
        let truth = Truth {
            text: truth.into(),
            form,
        };
        score(
            &truth,
            Extracted::by_rules(&truth.form, answer).as_ref(),
            rule,
        )
        .value
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
