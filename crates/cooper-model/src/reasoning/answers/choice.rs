//! The choice that an answer makes.

use super::quantities::{LengthUnit, numbers, parse_length_cm};
use super::words::{contains, phrase, words};

/// A length that is off by at most this share of a choice means that choice, if it is the only one.
const CLOSE_SHARE: f64 = 0.12;

/// The letter that an answer chooses, from A on; without `choices` any letter. In this order: the answer is a letter,
/// or begins with `(B)`, `B.`, `B:` or `B)`; the words of one choice, or its number without the unit; a length within
/// 12 % of one choice; the last `answer is B`; the only letter in brackets; the only choice whose words are in it.
pub(super) fn choice(answer: &str, choices: &[String]) -> Option<char> {
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
    let inner = bare.trim_start_matches(['(', ')', ':']);
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
    let answer = phrase(answer);
    let same_words = |choice: &String| phrase(choice) == answer;
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
    let answer = length_cm(&phrase(answer))?;
    let lengths: Vec<f64> = choices
        .iter()
        .map(|c| length_cm(c))
        .collect::<Option<_>>()?;
    letter_at(close_choice(answer, &lengths)?)
}

/// The only one of the choices, lengths in one unit, to which a given length is close: whoever measures 2.4 m and is
/// offered 1.5 m, 2.5 m and 4 m means the second.
fn close_choice(given: f64, choices: &[f64]) -> Option<usize> {
    let is_close = |length: f64| (given - length).abs() <= CLOSE_SHARE * length;
    let mut close = (0..choices.len()).filter(|&i| is_close(choices[i]));
    let position = close.next()?;
    close.next().is_none().then_some(position)
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
    let answer = words(answer);
    let is_named = |i: &usize| contains(&answer, &words(&phrase(&choices[*i])));
    let mut positions = (0..choices.len()).filter(is_named);
    let position = positions.next()?;
    positions.next().is_none().then(|| letter_at(position))?
}

fn letter_at(position: usize) -> Option<char> {
    let position = u8::try_from(position).ok()?;
    (position < 26).then(|| char::from(b'A' + position))
}

/// The letter that an answer in the data names: itself, or that of the choice with the same words.
pub(super) fn letter_in_data(text: &str, choices: &[String]) -> Option<char> {
    let bare = text.trim_matches(['(', ')', '.', ':', ' ']);
    let mut chars = bare.chars();
    if let (Some(letter), None) = (chars.next(), chars.next()) {
        let letter = letter.to_ascii_uppercase();
        let n = choices.len();
        let known = letter.is_ascii_uppercase() && (n == 0 || usize::from(letter as u8 - b'A') < n);
        if known {
            return Some(letter);
        }
    }
    let position = choices.iter().position(|choice| choice.trim() == text)?;
    u8::try_from(position)
        .ok()
        .filter(|i| *i < 26)
        .map(|i| char::from(b'A' + i))
}
