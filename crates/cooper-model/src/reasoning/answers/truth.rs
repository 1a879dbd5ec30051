//! A true answer, and whether another one is right.

use serde::Serialize;

use super::choice::letter_in_data;
use super::form::{AnswerForm, Reading};
use super::quantities::{LengthUnit, parse_length_cm};
use super::words::phrase;

/// A true answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// As it stands in the data; a letter if there are choices.
    pub text: String,
    /// What an answer has to be.
    pub form: AnswerForm,
}

/// What is known of a true answer.
#[derive(Clone, Debug, Default)]
pub struct TruthHints {
    /// In words.
    pub answer: String,
    /// What the letters from A on stand for.
    pub choices: Vec<String>,
    /// The true number, where `answer` says it less exactly.
    pub value: Option<f64>,
    /// Of `value`; one of length makes the answer a length.
    pub unit: Option<String>,
    /// The answer's form by name, ours (`choice`, `yes_no`, `integer`, `number`, `length`, `text`) or SIBench's.
    pub form: Option<String>,
}

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

impl LengthRule {
    /// Whether a length is right.
    pub fn accepts(self, length: f64, truth: f64) -> bool {
        match self {
            // 0.25 of a decimal fraction is seldom met to the last bit.
            Self::Within25 => (length - truth).abs() / truth.abs() <= 0.25 + 1e-9,
            Self::Factor2 => {
                let ratio = length / truth;
                ratio > 0.0 && ratio.max(truth / length) < 2.0
            }
        }
    }
}

impl Truth {
    /// Find out what an answer has to be: by the form's name, else by choices, unit and value, else by the answer.
    ///
    /// # Errors
    /// What was expected, if there is no answer or it is not of the named form.
    pub fn new(hints: TruthHints) -> std::result::Result<Self, String> {
        let text = hints.answer.trim().to_owned();
        let unit = hints.unit.as_deref().filter(|unit| !unit.is_empty());
        let number = hints.value.or_else(|| text.parse().ok());
        let length = || {
            let unit = match unit {
                Some(unit) => LengthUnit::parse(unit),
                None => LengthUnit::ending(&text),
            }?;
            let cm = match hints.value {
                Some(value) => value * unit.cm(),
                None => parse_length_cm(&text, unit)?,
            };
            (cm > 0.0).then_some(AnswerForm::Length { cm, unit })
        };
        let need_number = || number.ok_or_else(|| format!("expected a number, got {text:?}"));
        let form = match hints.form.as_deref().map(str::to_lowercase).as_deref() {
            Some("choice" | "mcq") => AnswerForm::Choice(hints.choices.clone()),
            Some("yes_no" | "yn") => AnswerForm::YesNo,
            Some("integer" | "number_int") => AnswerForm::Integer(need_number()?),
            Some("number") => AnswerForm::Number(need_number()?),
            Some("length") => length().ok_or_else(|| format!("expected a length, got {text:?}"))?,
            Some("text") => AnswerForm::Text,
            Some(other) => {
                return Err(format!(
                    "expected choice, yes_no, integer, number, length or text, got {other:?}"
                ));
            }
            None if !hints.choices.is_empty() => AnswerForm::Choice(hints.choices.clone()),
            None => match (length(), number) {
                (Some(length), _) => length,
                // What has a unit is measured, not counted.
                (None, Some(number)) if unit.is_some() => AnswerForm::Number(number),
                (None, Some(number)) => of_number(number, &text),
                (None, None) => of_words(&text),
            },
        };
        Self::checked(text, form)
    }

    /// Find out what an answer has to be from the true one alone.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_answer(answer: impl Into<String>) -> std::result::Result<Self, String> {
        Self::new(TruthHints {
            answer: answer.into(),
            ..TruthHints::default()
        })
    }

    /// What a reading is worth, from 0 to 1: letters, yes and no, words and whole numbers are right or wrong, other
    /// numbers have their [`mean_relative_accuracy`], lengths are right by `rule`. None if it is of another form.
    ///
    /// Source: VLMEvalKit's SIBench and Q-SpatialBench (`cooper_spec.md` §10.1).
    pub fn credit(&self, reading: &Reading, rule: LengthRule) -> Option<f64> {
        let is_right = match (&self.form, reading) {
            (AnswerForm::Choice(_), Reading::Letter(letter)) => self.text == letter.to_string(),
            (AnswerForm::YesNo, Reading::YesNo(yes)) => {
                self.text == if *yes { "yes" } else { "no" }
            }
            (AnswerForm::Integer(truth), Reading::Number(number)) => number == truth,
            (AnswerForm::Text, Reading::Words(words)) => same_words(&self.text, words),
            (AnswerForm::Length { cm, .. }, Reading::LengthCm(length)) => {
                rule.accepts(*length, *cm)
            }
            (AnswerForm::Number(truth), Reading::Number(number)) => {
                return Some(mean_relative_accuracy(*number, *truth));
            }
            _ => return None,
        };
        Some(f64::from(u8::from(is_right)))
    }

    /// Whether an answer has full credit. A number that is not whole has it within 5 %.
    pub fn is_right(&self, answer: &str, rule: LengthRule) -> bool {
        let reading = self.form.read(answer);
        reading.and_then(|reading| self.credit(&reading, rule)) == Some(1.0)
    }

    fn checked(text: String, form: AnswerForm) -> std::result::Result<Self, String> {
        if text.is_empty() {
            return Err("expected an answer, got none".into());
        }
        let text = match &form {
            AnswerForm::Choice(choices) => letter_in_data(&text, choices)
                .ok_or_else(|| format!("expected the letter of a choice, got {text:?}"))?
                .to_string(),
            AnswerForm::YesNo => {
                let word = text.to_lowercase();
                let word = word.trim_end_matches('.');
                if !["yes", "no"].contains(&word) {
                    return Err(format!("expected yes or no, got {text:?}"));
                }
                word.to_owned()
            }
            _ => text,
        };
        Ok(Self { text, form })
    }
}

fn of_number(number: f64, text: &str) -> AnswerForm {
    // `3` is counted, `3.0` is measured.
    if number.fract() == 0.0 && !text.contains('.') {
        AnswerForm::Integer(number)
    } else {
        AnswerForm::Number(number)
    }
}

fn of_words(text: &str) -> AnswerForm {
    match text.to_lowercase().trim_end_matches('.') {
        "yes" | "no" => AnswerForm::YesNo,
        _ => AnswerForm::Text,
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

/// Whether words are the true ones. MM-Vet's truths list alternatives (`<OR>`) of parts (`<AND>`) to be mentioned.
fn same_words(truth: &str, words: &str) -> bool {
    if !truth.contains("<AND>") && !truth.contains("<OR>") {
        return phrase(truth) == words;
    }
    let mentions = |part: &str| words.contains(&phrase(part));
    truth
        .split("<OR>")
        .any(|parts| parts.split("<AND>").all(mentions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(answer: &str, form: Option<&str>) -> std::result::Result<Truth, String> {
        Truth::new(TruthHints {
            answer: answer.into(),
            form: form.map(str::to_owned),
            ..TruthHints::default()
        })
    }

    #[test]
    fn forms_follow_from_answers() {
        for (answer, form) in [
            ("Yes", AnswerForm::YesNo),
            ("no.", AnswerForm::YesNo),
            ("3", AnswerForm::Integer(3.0)),
            ("3.0", AnswerForm::Number(3.0)),
            ("the red box", AnswerForm::Text),
            (
                "2.5 m",
                AnswerForm::Length {
                    cm: 250.0,
                    unit: LengthUnit::Meter,
                },
            ),
        ] {
            assert_eq!(truth(answer, None).unwrap().form, form, "{answer}");
        }
    }

    #[test]
    fn names_of_forms_are_ours_and_sibenchs() {
        assert_eq!(truth("b", Some("MCQ")).unwrap().text, "B");
        assert_eq!(truth("Yes", Some("YN")).unwrap().text, "yes");
        let number = |form| truth("4", Some(form)).unwrap().form;
        assert_eq!(number("Number_Int"), AnswerForm::Integer(4.0));
        assert_eq!(number("Number"), AnswerForm::Number(4.0));
        for (answer, form, part) in [
            ("maybe", "YN", "expected yes or no"),
            ("four", "Number", "expected a number"),
            ("3 apples", "length", "expected a length"),
            ("BC", "choice", "the letter of a choice"),
            ("x", "essay", "got \"essay\""),
            ("", "text", "expected an answer, got none"),
        ] {
            let why = truth(answer, Some(form)).unwrap_err();
            assert!(why.contains(part), "{part:?} is not in: {why}");
        }
    }

    #[test]
    fn choices_may_be_named_by_their_words() {
        let with = |answer: &str| {
            Truth::new(TruthHints {
                answer: answer.into(),
                choices: vec!["red".into(), "blue".into()],
                ..TruthHints::default()
            })
        };
        assert_eq!(with("(b)").unwrap().text, "B");
        assert_eq!(with("blue").unwrap().text, "B");
        assert!(with("C").is_err());
    }

    #[test]
    fn units_make_lengths_and_other_units_numbers() {
        let with = |value, unit: &str| {
            Truth::new(TruthHints {
                answer: "about that".into(),
                value: Some(value),
                unit: Some(unit.into()),
                ..TruthHints::default()
            })
        };
        let cm = |truth: Truth| match truth.form {
            AnswerForm::Length { cm, .. } => Some(cm),
            _ => None,
        };
        assert_eq!(cm(with(2.0, "feet").unwrap()), Some(60.96));
        assert_eq!(with(2.5, "kg").unwrap().form, AnswerForm::Number(2.5));
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
}
