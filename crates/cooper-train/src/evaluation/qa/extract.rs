//! What was meant by an answer, found by rules.

use cooper_model::reasoning::{LengthUnit, last_number, numbers, parse_length_cm};
use cooper_scenes::close_choice;

use super::item::AnswerForm;

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Extracted {
    /// A choice, from A on.
    Letter(char),
    /// Yes or no.
    Yes(bool),
    /// A number.
    Number(f64),
    /// A length in centimetres.
    LengthCm(f64),
    /// Words, in lower case and without what does not matter.
    Words(String),
    /// How right a judge finds it, from 0 to 1.
    Grade(f64),
}

/// Read an answer of a form; none if nothing of that form is in it.
pub fn extract(form: &AnswerForm, answer: &str) -> Option<Extracted> {
    let answer = answer.trim();
    match form {
        AnswerForm::Choice(choices) => choice(answer, choices).map(Extracted::Letter),
        AnswerForm::YesNo => yes_no(answer).map(Extracted::Yes),
        AnswerForm::Integer(_) | AnswerForm::Number(_) => {
            last_number(answer).map(Extracted::Number)
        }
        AnswerForm::Length { unit, .. } => parse_length_cm(answer, *unit).map(Extracted::LengthCm),
        AnswerForm::Text => Some(plain(answer))
            .filter(|words| !words.is_empty())
            .map(Extracted::Words),
    }
}

/// Lower case, single spaces, no article in front, no punctuation at the ends.
pub(super) fn plain(text: &str) -> String {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let text = text.trim_matches(|c: char| " .,:;!?\"'*`".contains(c));
    ["the ", "a ", "an "]
        .iter()
        .find_map(|article| text.strip_prefix(article))
        .unwrap_or(text)
        .to_owned()
}

/// The letter that an answer chooses. In this order: the answer is a letter, or begins with `(B)`, `B.`, `B:` or `B)`;
/// the words of one choice, or its number without the unit; a length next to one choice; the last `answer is B`; the only letter in brackets; the only choice whose words are in it.
fn choice(answer: &str, choices: &[String]) -> Option<char> {
    let n = if choices.is_empty() {
        26
    } else {
        choices.len().min(26)
    };
    let known = |letter: char| {
        let letter = letter.to_ascii_uppercase();
        (letter.is_ascii_uppercase() && usize::from(letter as u8 - b'A') < n).then_some(letter)
    };
    leading(answer)
        .and_then(known)
        .or_else(|| equal(answer, choices))
        .or_else(|| close_to(answer, choices))
        .or_else(|| after_cue(answer).and_then(known))
        .or_else(|| in_brackets(answer).and_then(known))
        .or_else(|| contained(answer, choices))
}

fn leading(answer: &str) -> Option<char> {
    let bare = answer.trim_matches(|c: char| " *.\"'`".contains(c));
    let inner = bare.strip_prefix('(').unwrap_or(bare);
    let letter = inner.chars().next().filter(char::is_ascii_alphabetic)?;
    let rest = &inner[1..];
    let ends = rest.is_empty() || rest.starts_with([')', '.', ':', '\n']);
    let rest = rest.trim_start_matches([')', '.', ':', ' ']);
    // `(A) or (B)` does not choose.
    let goes_on = ["or ", "and ", ",", "/"]
        .iter()
        .any(|word| rest.starts_with(word));
    (ends && !goes_on).then_some(letter)
}

fn equal(answer: &str, choices: &[String]) -> Option<char> {
    let answer = plain(answer);
    let same_words = |choice: &String| plain(choice) == answer;
    let same_number = |choice: &String| {
        let number = numbers(choice).first().map(|found| found.value);
        number.is_some() && number == answer.parse().ok()
    };
    let by_words = choices.iter().position(same_words);
    letter_at(by_words.or_else(|| choices.iter().position(same_number))?)
}

/// The choice that a length, which is all that the answer says, is close to.
fn close_to(answer: &str, choices: &[String]) -> Option<char> {
    let length_cm =
        |text: &str| LengthUnit::ending(text).and_then(|unit| parse_length_cm(text, unit));
    let answer = length_cm(plain(answer).as_str())?;
    let lengths: Vec<f64> = choices
        .iter()
        .map(|c| length_cm(c))
        .collect::<Option<_>>()?;
    letter_at(close_choice(answer, &lengths)?)
}

/// The letter behind the last `answer is`, `answer:`, `option` or `choice`.
fn after_cue(answer: &str) -> Option<char> {
    // Only ASCII letters change, so places stay the same.
    let lower = answer.to_ascii_lowercase();
    let cues = ["answer is", "answer:", "option", "choice"];
    let (at, cue) = cues
        .iter()
        .filter_map(|cue| Some((lower.rfind(cue)?, cue)))
        .max_by_key(|(at, _)| *at)?;
    let rest = answer[at + cue.len()..].trim_start_matches(|c: char| " :*(\"'".contains(c));
    let mut chars = rest.chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    let ends = chars.next().is_none_or(|c| !c.is_alphanumeric());
    ends.then_some(letter)
}

fn in_brackets(answer: &str) -> Option<char> {
    let mut letters = answer.match_indices('(').filter_map(|(i, _)| {
        let mut chars = answer[i + 1..].chars();
        match (chars.next(), chars.next()) {
            (Some(letter), Some(')')) => Some(letter).filter(char::is_ascii_alphabetic),
            _ => None,
        }
    });
    let first = letters.next()?;
    letters.all(|letter| letter == first).then_some(first)
}

fn contained(answer: &str, choices: &[String]) -> Option<char> {
    let answer = format!(" {} ", words(answer));
    let named = |choice: &String| {
        let choice = words(&plain(choice));
        !choice.is_empty() && answer.contains(&format!(" {choice} "))
    };
    let mut positions = (0..choices.len()).filter(|&i| named(&choices[i]));
    let position = positions.next()?;
    positions.next().is_none().then(|| letter_at(position))?
}

/// In lower case, with single spaces instead of everything that is no letter, digit or point inside a number.
fn words(text: &str) -> String {
    let split = text.split(|c: char| !(c.is_alphanumeric() || c == '.'));
    let words = split.map(|word| word.trim_matches('.').to_lowercase());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn letter_at(position: usize) -> Option<char> {
    let position = u8::try_from(position).ok()?;
    (position < 26).then(|| char::from(b'A' + position))
}

/// The first word if it is yes or no, else the only one of the two that occurs.
fn yes_no(answer: &str) -> Option<bool> {
    let answer = words(answer);
    let said: Vec<bool> = answer
        .split(' ')
        .filter_map(|word| match word {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
        .collect();
    let first = *said.first()?;
    let leads = answer.starts_with("yes") || answer.starts_with("no ") || answer == "no";
    (leads || said.iter().all(|word| *word == first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: &AnswerForm, answer: &str, expected: Option<Extracted>) {
        assert_eq!(extract(form, answer), expected, "{answer:?}");
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
            check(&colors(), answer, Some(Extracted::Letter('B')));
        }
        check(&colors(), "2.5 m", Some(Extracted::Letter('C')));
        check(&colors(), "2.50", Some(Extracted::Letter('C')));
        check(&colors(), "Answer: 2.5 m", Some(Extracted::Letter('C')));
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
            Some(Extracted::Letter('E')),
        );
    }

    #[test]
    fn yes_and_no() {
        let says = |answer, yes| check(&AnswerForm::YesNo, answer, Some(Extracted::Yes(yes)));
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
            check(&metres, answer, expected.map(Extracted::Letter));
        }
        check(&form(["2.0 m", "2.2 m", "4 m"]), "2.1 m", None);
        check(&form(["2 m", "red", "4 m"]), "2.1 m", None);
    }

    #[test]
    fn numbers_in_digits_or_words() {
        let says = |answer, n| {
            check(
                &AnswerForm::Integer(1.0),
                answer,
                Some(Extracted::Number(n)),
            );
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
            Some(Extracted::Words("red box".into())),
        );
        check(&AnswerForm::Text, " . ", None);
    }
}
