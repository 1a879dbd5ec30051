//! What an answer has to be, and what one says.

use super::choice::choice;
use super::quantities::{LengthUnit, last_number, parse_length_cm};
use super::words::{phrase, words};

/// What an answer has to be, by which it is read and compared.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerForm {
    /// A letter from A on; the choices' texts, if they are known.
    Choice(Vec<String>),
    /// Yes or no.
    YesNo,
    /// A whole number, to be met exactly.
    Integer(f64),
    /// A number; see [`super::mean_relative_accuracy`].
    Number(f64),
    /// A length.
    Length {
        /// The true one.
        cm: f64,
        /// What a number without a unit is taken to be in.
        unit: LengthUnit,
    },
    /// Words, to be met exactly but for case, articles and punctuation at the ends.
    Text,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A choice, from A on.
    Letter(char),
    /// Yes or no.
    YesNo(bool),
    /// A number.
    Number(f64),
    /// A length in centimetres.
    LengthCm(f64),
    /// Words, see [`phrase`].
    Words(String),
}

impl AnswerForm {
    /// Read an answer; none if nothing of this form is in it.
    pub fn read(&self, answer: &str) -> Option<Reading> {
        let answer = answer.trim();
        match self {
            Self::Choice(choices) => choice(answer, choices).map(Reading::Letter),
            Self::YesNo => yes_no(answer).map(Reading::YesNo),
            Self::Integer(_) | Self::Number(_) => last_number(answer).map(Reading::Number),
            Self::Length { unit, .. } => parse_length_cm(answer, *unit).map(Reading::LengthCm),
            Self::Text => Some(phrase(answer))
                .filter(|words| !words.is_empty())
                .map(Reading::Words),
        }
    }
}

/// The first word if it is yes or no, else the only one of the two that occurs.
fn yes_no(answer: &str) -> Option<bool> {
    let words = words(answer);
    let yes_or_no = |word: &String| match word.as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    let found: Vec<bool> = words.iter().filter_map(yes_or_no).collect();
    let first = *found.first()?;
    let leads = words.first().and_then(yes_or_no).is_some();
    (leads || found.iter().all(|word| *word == first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: &AnswerForm, answer: &str, expected: Option<Reading>) {
        assert_eq!(form.read(answer), expected, "{answer:?}");
    }

    fn colors() -> AnswerForm {
        AnswerForm::Choice(
            ["the red box", "the blue ball", "2.5 m"]
                .map(Into::into)
                .into(),
        )
    }

    #[test]
    fn letters_are_found() {
        for answer in [
            "B",
            "b",
            "(B)",
            "B.",
            "**B**",
            "(b) the blue ball",
            "B: blue",
            "B\nbecause it is",
            "The answer is (B).",
            "Not option A. The answer is B",
            "I think it is (B), the nearer one",
            "The blue ball.",
            "It must be the blue ball there",
        ] {
            check(&colors(), answer, Some(Reading::Letter('B')));
        }
        check(&colors(), "2.5 m", Some(Reading::Letter('C')));
        check(&colors(), "2.50", Some(Reading::Letter('C')));
        check(&colors(), "Answer: 2.5 m", Some(Reading::Letter('C')));
    }

    #[test]
    fn what_is_no_choice_is_none() {
        for answer in [
            "",
            "D",
            "(A) or (B)",
            "the red box or the blue ball",
            "A red thing",
            "green",
        ] {
            check(&colors(), answer, None);
        }
        check(
            &AnswerForm::Choice(Vec::new()),
            "E",
            Some(Reading::Letter('E')),
        );
    }

    #[test]
    fn yes_and_no() {
        let says = |answer, yes| check(&AnswerForm::YesNo, answer, Some(Reading::YesNo(yes)));
        says("Yes", true);
        says("no.", false);
        says("No, yes would be wrong", false);
        says("I would say yes", true);
        check(&AnswerForm::YesNo, "maybe yes, maybe no", None);
        check(&AnswerForm::YesNo, "nobody knows", None);
    }

    #[test]
    fn a_length_chooses_what_it_is_close_to() {
        let form = |choices: [&str; 3]| AnswerForm::Choice(choices.map(Into::into).into());
        let metres = form(["1.5 m", "2.5 m", "4.0 m"]);
        for (answer, expected) in [
            ("2.4 m", Some('B')),
            ("250 cm", Some('B')),
            ("4.4 m", Some('C')),
            ("2.0 m", None),
            ("6 m", None),
        ] {
            check(&metres, answer, expected.map(Reading::Letter));
        }
        check(&form(["2.0 m", "2.2 m", "4 m"]), "2.1 m", None);
        check(&form(["2 m", "red", "4 m"]), "2.1 m", None);
    }

    #[test]
    fn numbers_in_digits_or_words() {
        let says = |answer, n| {
            check(&AnswerForm::Integer(1.0), answer, Some(Reading::Number(n)));
        };
        says("3", 3.0);
        says("There are 2 boxes and 1 ball: 3", 3.0);
        says("three objects", 3.0);
        says("none", 0.0);
        check(&AnswerForm::Number(1.0), "many", None);
    }

    #[test]
    fn words_are_compared_without_what_does_not_matter() {
        check(
            &AnswerForm::Text,
            " The  Red box. ",
            Some(Reading::Words("red box".into())),
        );
        check(&AnswerForm::Text, " . ", None);
    }
}
