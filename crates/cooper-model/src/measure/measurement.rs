//! Typed questions and their words.

use crate::error::{Error, Result};
use crate::reasoning::answers::Axis;

/// Objects that can be put in order.
pub const MAX_OBJECTS: usize = 8;
/// Characters of an object's name.
const MAX_NAME: usize = 100;

/// The quantity of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of one object: from the camera to it; of two: between them. In metres.
    Distance,
    /// The extent of an object, in metres.
    Size,
    /// How the first of two objects lies as seen from the second.
    Relation,
    /// Two or more objects in order.
    Order,
    /// How many there are.
    Count,
    /// Where an object is.
    Locate,
}

/// A typed question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    kind: Kind,
    axis: Axis,
    objects: Vec<String>,
}

impl Measurement {
    /// A checked measurement; names are trimmed.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there are too few or too many objects, or a name is empty, too long, broken into
    /// lines or given twice.
    pub fn new(kind: Kind, axis: Axis, objects: &[String]) -> Result<Self> {
        let (least, most) = match kind {
            Kind::Distance => (1, 2),
            Kind::Relation => (2, 2),
            Kind::Order => (2, MAX_OBJECTS),
            Kind::Size | Kind::Count | Kind::Locate => (1, 1),
        };
        let n = objects.len();
        if !(least..=most).contains(&n) {
            let expected = if least == most {
                format!("{least}")
            } else {
                format!("{least} to {most}")
            };
            let why = format!("expected {expected} for {kind:?}, got {n}");
            return Err(Error::invalid("objects", why));
        }
        let names: Vec<String> = objects.iter().map(|name| name.trim().into()).collect();
        for (i, name) in names.iter().enumerate() {
            check_name(i, name)?;
            if names[..i].contains(name) {
                let why = format!("expected different objects, got `{name}` twice");
                return Err(Error::invalid("objects", why));
            }
        }
        Ok(Self {
            kind,
            axis,
            objects: names,
        })
    }

    /// The quantity.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Along what; [`Kind::Count`] and [`Kind::Locate`] ignore it.
    pub fn axis(&self) -> Axis {
        self.axis
    }

    /// The names as they were given.
    pub fn objects(&self) -> &[String] {
        &self.objects
    }

    /// The names with their articles: `the red box`.
    pub fn named(&self) -> Vec<String> {
        self.objects.iter().map(|name| with_article(name)).collect()
    }

    /// The question in words; for [`Kind::Locate`] the model's own words for that are used in its place.
    pub fn question(&self) -> String {
        let named = self.named();
        let x = named.first().map_or("", String::as_str);
        let y = named.get(1).map_or("", String::as_str);
        match (self.kind, self.axis) {
            (Kind::Distance, axis) if named.len() == 1 => match axis {
                Axis::Any | Axis::Z => format!("How far is {x} from the camera?"),
                Axis::X => format!("How far to the left or to the right of the camera is {x}?"),
                Axis::Y => format!("How far above or below the camera is {x}?"),
            },
            (Kind::Distance, Axis::Any) => format!("How far apart are {x} and {y}?"),
            (Kind::Distance, Axis::X) => {
                format!("How far apart are {x} and {y} from left to right?")
            }
            (Kind::Distance, Axis::Y) => format!("How far apart are {x} and {y} in height?"),
            (Kind::Distance, Axis::Z) => format!("How far apart are {x} and {y} in depth?"),
            (Kind::Size, Axis::Any) => format!("How large is {x}?"),
            (Kind::Size, Axis::X) => format!("What is the width of {x}?"),
            (Kind::Size, Axis::Y) => format!("What is the height of {x}?"),
            (Kind::Size, Axis::Z) => format!("What is the depth of {x}, from front to back?"),
            (Kind::Relation, Axis::Any) => format!("Where is {x}, as seen from {y}?"),
            (Kind::Relation, Axis::X) => format!("Is {x} left or right of {y}?"),
            (Kind::Relation, Axis::Y) => format!("Is {x} higher or lower than {y}?"),
            (Kind::Relation, Axis::Z) => format!("Is {x} nearer or farther than {y}?"),
            (Kind::Order, axis) => {
                let order = match axis {
                    Axis::Any | Axis::Z => "from near to far",
                    Axis::X => "from left to right",
                    Axis::Y => "from top to bottom",
                };
                format!("Put in order {order}: {}.", named.join(", "))
            }
            (Kind::Count, _) => format!("How many {} are there?", self.objects[0]),
            (Kind::Locate, _) => format!("Where is {x}?"),
        }
    }
}

fn check_name(i: usize, name: &str) -> Result<()> {
    let n_chars = name.chars().count();
    let why = if name.is_empty() {
        "expected words, got none".into()
    } else if n_chars > MAX_NAME {
        format!("expected at most {MAX_NAME} characters, got {n_chars}")
    } else if name.contains(char::is_control) {
        "expected one line of text, got control characters".into()
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("objects[{i}]"), why))
}

fn with_article(name: &str) -> String {
    const BEGINNINGS: [&str; 12] = [
        "the", "a", "an", "my", "your", "his", "her", "its", "our", "their", "this", "that",
    ];
    let first = name.split_whitespace().next().unwrap_or_default();
    if BEGINNINGS.contains(&first.to_lowercase().as_str()) {
        name.into()
    } else {
        format!("the {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Kind, axis: Axis, objects: &[&str]) -> Result<Measurement> {
        let objects: Vec<String> = objects.iter().map(|&name| name.into()).collect();
        Measurement::new(kind, axis, &objects)
    }

    #[test]
    fn questions_in_words() {
        for (kind, axis, objects, words) in [
            (
                Kind::Distance,
                Axis::Any,
                &["red box"][..],
                "How far is the red box from the camera?",
            ),
            (
                Kind::Distance,
                Axis::Any,
                &[" red box ", "my cup"],
                "How far apart are the red box and my cup?",
            ),
            (
                Kind::Relation,
                Axis::Z,
                &["The box", "ball"],
                "Is The box nearer or farther than the ball?",
            ),
            (
                Kind::Order,
                Axis::X,
                &["a", "b c", "d"],
                "Put in order from left to right: a, the b c, the d.",
            ),
            (
                Kind::Count,
                Axis::X,
                &["chairs"],
                "How many chairs are there?",
            ),
            (
                Kind::Size,
                Axis::Y,
                &["thesis"],
                "What is the height of the thesis?",
            ),
        ] {
            assert_eq!(asked(kind, axis, objects).unwrap().question(), words);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let long = "x".repeat(101);
        let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        for (kind, objects, words) in [
            (
                Kind::Distance,
                &[][..],
                "objects: expected 1 to 2 for Distance, got 0",
            ),
            (
                Kind::Relation,
                &["a"],
                "objects: expected 2 for Relation, got 1",
            ),
            (
                Kind::Order,
                &nine,
                "objects: expected 2 to 8 for Order, got 9",
            ),
            (
                Kind::Relation,
                &["a", " "],
                "objects[1]: expected words, got none",
            ),
            (Kind::Order, &["a", "b", "a "], "got `a` twice"),
            (Kind::Count, &["a\nb"], "objects[0]: expected one line"),
            (Kind::Size, &[&long], "at most 100 characters, got 101"),
        ] {
            let error = asked(kind, Axis::Any, objects).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
