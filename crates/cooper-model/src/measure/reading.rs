//! What an answer in words says: lengths, counts, places, sides, orders.

use nalgebra::Point2;

use super::measurement::Axis;
use crate::reasoning::{LengthUnit, last_number, numbers, parse_length_cm};

/// A length in metres; a number without a unit is metres.
pub(super) fn length_m(answer: &str) -> Option<f64> {
    parse_length_cm(answer, LengthUnit::Meter).map(|cm| cm / 100.0)
}

/// How many: a whole number.
pub(super) fn count(answer: &str) -> Option<f64> {
    last_number(answer).filter(|n| *n >= 0.0 && n.fract() == 0.0)
}

/// The pixel of the first two numbers, which are percent of `size` (width, height).
pub(super) fn place(answer: &str, size: (u32, u32)) -> Option<Point2<f64>> {
    let found = numbers(answer);
    let [x, y] = found.get(..2)? else { return None };
    let pixel = |percent: f64, extent: u32| {
        let at = percent / 100.0 * f64::from(extent);
        (0.0..=100.0)
            .contains(&percent)
            .then(|| at.min(f64::from(extent) - 1.0))
    };
    Some(Point2::new(
        pixel(x.value, size.0)?,
        pixel(y.value, size.1)?,
    ))
}

/// Words that tell on which side something lies: towards less or more of an axis.
const SIDES: [(&str, Axis, f64); 21] = [
    ("left", Axis::X, -1.0),
    ("right", Axis::X, 1.0),
    ("above", Axis::Y, -1.0),
    ("higher", Axis::Y, -1.0),
    ("over", Axis::Y, -1.0),
    ("top", Axis::Y, -1.0),
    ("on", Axis::Y, -1.0),
    ("below", Axis::Y, 1.0),
    ("lower", Axis::Y, 1.0),
    ("under", Axis::Y, 1.0),
    ("underneath", Axis::Y, 1.0),
    ("beneath", Axis::Y, 1.0),
    ("nearer", Axis::Z, -1.0),
    ("closer", Axis::Z, -1.0),
    ("front", Axis::Z, -1.0),
    ("near", Axis::Z, -1.0),
    ("close", Axis::Z, -1.0),
    ("farther", Axis::Z, 1.0),
    ("further", Axis::Z, 1.0),
    ("behind", Axis::Z, 1.0),
    ("far", Axis::Z, 1.0),
];

/// The axis that the answer speaks of ([`Axis::Any`] takes each), and −1 or 1 for the side on it. Words after `not`
/// do not count, and of both sides of one axis neither is taken.
pub(super) fn side(answer: &str, axis: Axis) -> Option<(Axis, f64)> {
    let lower = answer.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    let told = |i: usize| {
        let denied = i > 0 && words[i - 1] == "not";
        // `on the left` has no height.
        let placed = words[i] == "on" && words.get(i + 1) != Some(&"top");
        let known = SIDES.iter().find(|(word, ..)| *word == words[i]);
        known.filter(|(_, of, _)| !denied && !placed && (axis == Axis::Any || axis == *of))
    };
    let said: Vec<_> = (0..words.len()).filter_map(told).collect();
    let (_, of, sign) = **said.first()?;
    let clear = |(_, other, s): &&(&str, Axis, f64)| *other != of || *s == sign;
    said.iter().all(clear).then_some((of, sign))
}

/// The order in which an answer names the objects, as indices; none unless each is named.
pub(super) fn order(answer: &str, objects: &[String]) -> Option<Vec<usize>> {
    let answer = plain(answer);
    let places: Vec<usize> = objects
        .iter()
        .map(|name| answer.find(&plain(name)))
        .collect::<Option<_>>()?;
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by_key(|&i| places[i]);
    Some(order)
}

/// Whether a name that the model gave is that of an object: the object's words, without an article, are in it, or the
/// other way round; a plural is its singular.
pub(super) fn same_thing(given: &str, object: &str) -> bool {
    let (given, object) = (singular(given), singular(object));
    !given.trim().is_empty() && (given.contains(&object) || object.contains(&given))
}

/// In lower case between single spaces, without articles.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let kept: Vec<&str> = words
        .filter(|word| !["", "the", "a", "an"].contains(word))
        .collect();
    format!(" {} ", kept.join(" "))
}

fn singular(text: &str) -> String {
    let plain = plain(text);
    let words: Vec<&str> = plain
        .split_whitespace()
        .map(|word| match word.strip_suffix("xes") {
            Some(stem) => &word[..stem.len() + 1],
            None if word.len() > 3 && !word.ends_with("ss") => word.trim_end_matches('s'),
            None => word,
        })
        .collect();
    format!(" {} ", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_percent() {
        let size = (200, 50);
        assert_eq!(place("24 60", size), Some(Point2::new(48.0, 30.0)));
        assert_eq!(place("at (100, 100)", size), Some(Point2::new(199.0, 49.0)));
        for answer in ["", "24", "on the left", "24 160", "-3 5"] {
            assert_eq!(place(answer, size), None, "{answer}");
        }
    }

    #[test]
    fn sides_by_axis() {
        for (answer, axis, expected) in [
            ("left", Axis::X, Some((Axis::X, -1.0))),
            ("It is on the right.", Axis::Any, Some((Axis::X, 1.0))),
            ("in front of it", Axis::Any, Some((Axis::Z, -1.0))),
            ("to the left and behind", Axis::Z, Some((Axis::Z, 1.0))),
            ("on top of it", Axis::Any, Some((Axis::Y, -1.0))),
            ("not left but right", Axis::X, Some((Axis::X, 1.0))),
            ("left or right", Axis::X, None),
            ("left", Axis::Z, None),
            ("", Axis::Any, None),
        ] {
            assert_eq!(side(answer, axis), expected, "{answer}");
        }
    }

    #[test]
    fn orders_need_every_object() {
        let objects = ["red box".to_owned(), "the ball".into(), "box 2".into()];
        assert_eq!(
            order("the ball, Box 2 and the red box", &objects),
            Some(vec![1, 2, 0])
        );
        assert_eq!(order("the ball and the red box", &objects), None);
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

    #[test]
    fn counts_are_whole() {
        assert_eq!(count("There are three."), Some(3.0));
        assert_eq!(count("2.5"), None);
        assert_eq!(length_m("about 35 cm"), Some(0.35));
    }
}
