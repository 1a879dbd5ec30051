//! Whether a given answer is right.

use super::choices::{close_choice, letter};
use super::{Question, QuestionKind};

/// A number in metres is right if it is off by at most this share of the true one.
const TOLERANCE: f64 = 0.25;

impl Question {
    /// Whether `given`, a short answer without a box around it, is right.
    ///
    /// Case, articles and a full stop do not matter. A choice may be named by its letter, `(B)`, its text, or a length
    /// within 12 % of it.
    /// Counts must be exact, other numbers within 25 % of the truth.
    pub fn judge(&self, given: &str) -> bool {
        let given = plain(given);
        if !self.choices.is_empty() {
            return self
                .chosen(&given)
                .or_else(|| self.close_to(&given))
                .is_some_and(|l| self.answer == l.to_string());
        }
        match (self.kind, self.value) {
            (QuestionKind::Count, _) | (_, None) => given == plain(&self.answer),
            (_, Some(_)) => self.relative_error(&given).is_some_and(|e| e <= TOLERANCE),
        }
    }

    /// How far a free answer in metres is from the truth, as a share of the truth.
    ///
    /// None for counts and choices, and if there is no number in the answer.
    pub fn relative_error(&self, given: &str) -> Option<f64> {
        let truth = self
            .value
            .filter(|_| self.unit.is_some() && self.choices.is_empty())?;
        Some((metres(&plain(given))? - truth).abs() / truth)
    }

    /// The letter that a plain answer chooses: `b`, `(b)`, `(b) the red box` or `red box`.
    fn chosen(&self, given: &str) -> Option<char> {
        let letters = (0..self.choices.len()).map(letter);
        let mut pairs = letters.zip(&self.choices);
        pairs.find_map(|(letter, choice)| {
            let small = letter.to_ascii_lowercase();
            let bare = given.trim_matches(['(', ')', '.', ':']);
            let is_chosen = bare == small.to_string()
                || given.starts_with(&format!("({small})"))
                || unitless(given) == unitless(&plain(choice));
            is_chosen.then_some(letter)
        })
    }

    /// The letter of the only choice to which a length in metres is close.
    fn close_to(&self, given: &str) -> Option<char> {
        let has_unit = self.unit.is_some() && given.ends_with('m');
        let given = metres(given).filter(|_| has_unit)?;
        let choices: Vec<f64> = self
            .choices
            .iter()
            .map(|c| metres(c))
            .collect::<Option<_>>()?;
        close_choice(given, &choices).map(letter)
    }
}

/// Lower case, single spaces, no article in front, no full stop at the end.
fn plain(text: &str) -> String {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let text = text.strip_suffix('.').unwrap_or(&text);
    text.strip_prefix("the ").unwrap_or(text).to_owned()
}

fn unitless(text: &str) -> &str {
    text.strip_suffix('m').unwrap_or(text).trim_end()
}

/// A length: a number, alone or with a unit.
fn metres(text: &str) -> Option<f64> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    match text[end..].trim() {
        "" | "m" | "metres" | "meters" | "metre" | "meter" => Some(number),
        "cm" | "centimetres" | "centimeters" => Some(number / 100.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: QuestionKind, answer: &str, choices: &[&str]) -> Question {
        let is_number = kind == QuestionKind::CameraDistance;
        Question {
            kind,
            text: String::new(),
            answer: answer.into(),
            choices: choices.iter().map(|&c| c.into()).collect(),
            value: is_number.then_some(2.0),
            unit: is_number.then_some("m"),
            objects: Vec::new(),
            thought: String::new(),
        }
    }

    #[track_caller]
    fn check(question: &Question, right: &[&str], wrong: &[&str]) {
        for given in right {
            assert!(question.judge(given), "{given:?} is right");
        }
        for given in wrong {
            assert!(!question.judge(given), "{given:?} is wrong");
        }
    }

    #[test]
    fn names_are_compared_without_articles() {
        check(
            &question(QuestionKind::Nearer, "the red box", &[]),
            &["the red box", "Red box.", " THE  red box "],
            &["", "red", "the red ball", "the blue box", "box"],
        );
    }

    #[test]
    fn lengths_may_be_off_by_a_quarter_and_counts_by_nothing() {
        let length = question(QuestionKind::CameraDistance, "2.0 m", &[]);
        check(
            &length,
            &["2", "2.0 m", "1.5 m.", "2.5m", "200 cm"],
            &["1.4 m", "2.6", "m", "", "-2 m", "2 km", "2.0.0"],
        );
        assert!((length.relative_error("3 m").unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(length.relative_error("far"), None);
        check(
            &question(QuestionKind::Count, "3", &[]),
            &["3", "3."],
            &["2", "4", "3.1", "33", ""],
        );
    }

    #[test]
    fn choices_are_named_by_letter_or_text() {
        let question = question(QuestionKind::CameraDistance, "B", &["1.0 m", "2.0 m"]);
        let right = ["B", "b", "(B)", "B.", "(B) 2.0 m", "2.0 m", "2.0", "1.9 m"];
        check(
            &question,
            &right,
            &[
                "A", "(A)", "1.0 m", "1.1 m", "1.5 m", "2.5 m", "C", "", "AB",
            ],
        );
        assert_eq!(question.relative_error("2.0 m"), None);
    }
}
