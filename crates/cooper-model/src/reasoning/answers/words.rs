//! Words of an answer, without what does not matter.

/// A text to compare as a whole: lower case, single spaces, no article in front, no punctuation at the ends, and `(a)`
/// as `a`.
pub fn phrase(text: &str) -> String {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let text = text.trim_matches(|c: char| " .,:;!?\"'*`".contains(c));
    let inner = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    if let Some(letter) = inner.filter(|inner| inner.chars().count() == 1) {
        return letter.to_owned();
    }
    ["the ", "a ", "an "]
        .iter()
        .find_map(|article| text.strip_prefix(article))
        .unwrap_or(text)
        .to_owned()
}

/// The words of a text in lower case: letters and digits, with the points that stand between digits.
pub(super) fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let is_digit = |i: Option<usize>| {
        let c = i.and_then(|i| chars.get(i));
        c.is_some_and(char::is_ascii_digit)
    };
    let is_part = |i: usize| {
        let is_point = chars[i] == '.' && is_digit(i.checked_sub(1)) && is_digit(Some(i + 1));
        chars[i].is_alphanumeric() || is_point
    };
    let mut found = vec![String::new()];
    for (i, c) in chars.iter().enumerate() {
        match found.last_mut() {
            Some(word) if is_part(i) => word.extend(c.to_lowercase()),
            _ => found.push(String::new()),
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// Whether the words of `part` stand in `text` one after another.
pub(super) fn contains(text: &[String], part: &[String]) -> bool {
    position(text, part).is_some()
}

/// The first word of `text` with which `part` begins there.
pub(super) fn position(text: &[String], part: &[String]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    text.windows(part.len()).position(|window| window == part)
}

/// The words of a name, without articles.
pub(super) fn name_words(name: &str) -> Vec<String> {
    let mut words = words(name);
    words.retain(|word| !["the", "a", "an"].contains(&word.as_str()));
    words
}

/// Whether a name that the model gave is that of an object: the object's words, without articles, are in it, or the
/// other way round; a plural is its singular.
pub fn same_thing(given: &str, object: &str) -> bool {
    let [given, object] = [given, object].map(|name| {
        let words = name_words(name);
        words.iter().map(|word| singular(word)).collect::<Vec<_>>()
    });
    contains(&given, &object) || contains(&object, &given)
}

fn singular(word: &str) -> String {
    match word.strip_suffix("xes") {
        Some(stem) => format!("{stem}x"),
        None if word.len() > 3 && !word.ends_with("ss") => word.trim_end_matches('s').to_owned(),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_compared_without_what_does_not_matter() {
        for (text, expected) in [
            (" The  Red box. ", "red box"),
            ("(A)", "a"),
            (" (b). ", "b"),
            ("(A) red", "(a) red"),
            ("**an apple**", "apple"),
            (" . ", ""),
        ] {
            assert_eq!(phrase(text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_keep_points_inside_numbers_only() {
        assert_eq!(
            words("It is 2.5 m, the box.Really: 1.red"),
            ["it", "is", "2.5", "m", "the", "box", "really", "1", "red"]
        );
        assert!(words(" .-").is_empty());
    }

    #[test]
    fn names_match_by_their_words() {
        for (given, object, expected) in [
            ("red box", "the red boxes", true),
            ("a box", "red box", true),
            ("wooden chair", "chairs", true),
            ("glass", "glasses", false),
            ("red ball", "red box", false),
            ("", "box", false),
            ("catbox", "cat", false),
        ] {
            assert_eq!(same_thing(given, object), expected, "{given} {object}");
        }
    }
}
