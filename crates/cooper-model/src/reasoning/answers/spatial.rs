//! Where an answer says that things are: a place, a side, an order.

use nalgebra::Point2;

use super::quantities::numbers;
use super::words::{name_words, position};

/// Along what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Straight line, largest extent, whichever tells most, near to far.
    Any,
    /// Left to right.
    X,
    /// Top to bottom.
    Y,
    /// Near to far.
    Z,
}

/// The pixel at the first two numbers of an answer, which are percent of `size` (width, height). None if there are
/// fewer, or one is not in 0 to 100.
pub fn pixel_at_percent(answer: &str, size: (u32, u32)) -> Option<Point2<f64>> {
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

/// Words for a side: towards less or more of an axis.
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

/// The side that an answer names: its axis, and −1 or 1 for the side on it. Only words of `axis` count, with
/// [`Axis::Any`] those of all. Words after `not` do not count, and of both sides of one axis neither is taken.
pub fn side(answer: &str, axis: Axis) -> Option<(Axis, f64)> {
    let lower = answer.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    let side_at = |i: usize| {
        let is_denied = i > 0 && words[i - 1] == "not";
        // `on the left` has no height.
        let is_preposition = words[i] == "on" && words.get(i + 1) != Some(&"top");
        let known = SIDES.iter().find(|(word, ..)| *word == words[i]);
        known.filter(|(_, its, _)| {
            !is_denied && !is_preposition && (axis == Axis::Any || axis == *its)
        })
    };
    let sides: Vec<_> = (0..words.len()).filter_map(side_at).collect();
    let (_, axis, sign) = **sides.first()?;
    let agrees = |(_, other, s): &&(&str, Axis, f64)| *other != axis || *s == sign;
    sides.iter().all(agrees).then_some((axis, sign))
}

/// The order in which an answer names the objects, as indices; none unless each is named.
pub fn order(answer: &str, objects: &[String]) -> Option<Vec<usize>> {
    let answer = name_words(answer);
    let places: Vec<usize> = objects
        .iter()
        .map(|name| position(&answer, &name_words(name)))
        .collect::<Option<_>>()?;
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by_key(|&i| places[i]);
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_percent() {
        let size = (200, 50);
        assert_eq!(
            pixel_at_percent("24 60", size),
            Some(Point2::new(48.0, 30.0))
        );
        assert_eq!(
            pixel_at_percent("at (100, 100)", size),
            Some(Point2::new(199.0, 49.0))
        );
        for answer in ["", "24", "on the left", "24 160", "-3 5"] {
            assert_eq!(pixel_at_percent(answer, size), None, "{answer}");
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
}
