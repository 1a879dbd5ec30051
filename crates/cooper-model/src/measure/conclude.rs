//! The answer as a number, the same quantity from the maps or the places, and whether the two agree.

use nalgebra::{Point2, Point3};

use super::measurement::{Kind, Measurement};
use super::observe::Observation;
use super::pixels::{Doubt, Metric, Pixels, cannot_tell};
use crate::reasoning::answers::{Axis, count, length_m, order, same_thing, side};

/// Lengths agree if they differ by at most this share of the map's,
const LENGTH_SHARE: f64 = 0.25;
/// or by this.
const LENGTH_M: f64 = 0.1;
/// What sides and orders along x and y rest on.
const OWN_WORDS: &str = "compared with the places in the model's own words, not with a map";
/// What a place rests on.
const ASKED_BACK: &str = "checked by asking the model back, not with a map";

/// Whether the answer and what it is compared with say the same.
///
/// | kind | compared with |
/// |---|---|
/// | [`Kind::Distance`] | metres of the depth map at the places |
/// | [`Kind::Size`] | the region at the place, at the depth there |
/// | [`Kind::Relation`], [`Kind::Order`] along z | relative depth at the places |
/// | … along x or y | the places alone, which are the model's own words |
/// | [`Kind::Count`] | regions that the model calls so |
/// | [`Kind::Locate`] | what the model says is at the place |
///
/// A place counts where the model, asked back what is there, names the object; otherwise it is [`Agreement::Unknown`],
/// and of [`Kind::Locate`] [`Agreement::Contradicts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The answer cannot be compared, or the model does not confirm an object.
    Unknown,
    /// They differ by no more than the maps' uncertainty.
    Consistent,
    /// They differ by more.
    Contradicts,
}

/// What comes of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion {
    /// The answer as a number in `unit`.
    pub value: Option<f64>,
    /// `m` for lengths, empty for counts.
    pub unit: &'static str,
    /// The same quantity read from the maps; none where the model does not confirm an object at its place.
    pub map_value: Option<f64>,
    /// [`Kind::Order`]: the objects in the answered order.
    pub ordered: Vec<String>,
    /// Pixels of the first object in the source image, in the model's words, confirmed or not.
    pub pixel: Option<Point2<f64>>,
    /// Metres at `pixel` in the optical frame.
    pub point: Option<Point3<f64>>,
    /// Whether the answer and what it is compared with say the same.
    pub agreement: Agreement,
    /// Why they do not, why it cannot be told, and whether no map was compared; empty if a map agrees.
    pub remark: String,
}

/// Compare an answer with maps and places; without `metric` lengths cannot be checked.
pub fn conclude(
    measurement: &Measurement,
    seen: &Observation,
    metric: Option<&Metric>,
) -> Conclusion {
    let pixels = Pixels { seen, metric };
    let answer = &seen.transcript.answer;
    let mut found = Conclusion {
        value: None,
        unit: "",
        map_value: None,
        ordered: Vec::new(),
        pixel: seen.places.first().copied().flatten(),
        point: pixels.point(0),
        agreement: Agreement::Unknown,
        remark: String::new(),
    };
    let objects = measurement.objects();
    let checked = match measurement.kind() {
        Kind::Distance | Kind::Size => {
            found.value = length_m(answer);
            let map_value = pixels.length_m(measurement);
            found.map_value = map_value.as_ref().ok().copied();
            map_value.and_then(|map| compare_lengths(found.value, map))
        }
        Kind::Count => {
            found.value = count(answer);
            let map_value = pixels.count(&objects[0]);
            found.map_value = map_value.as_ref().ok().copied();
            map_value.and_then(|map| compare_counts(found.value, map))
        }
        Kind::Relation => relation(&pixels, side(answer, measurement.axis()), objects),
        Kind::Order => {
            let order = order(answer, objects);
            if let Some(order) = &order {
                found.ordered = order.iter().map(|&i| objects[i].clone()).collect();
            }
            order_of(&pixels, order.as_deref(), measurement)
        }
        Kind::Locate => named_alike(&pixels, &objects[0]),
    };
    found.unit = match measurement.kind() {
        Kind::Distance | Kind::Size if found.value.is_some() => "m",
        _ => "",
    };
    (found.agreement, found.remark) = match checked {
        Ok(note) => (Agreement::Consistent, note.into()),
        Err(Doubt::Differs(how)) => (Agreement::Contradicts, how),
        Err(Doubt::CannotTell(why)) => (Agreement::Unknown, why),
    };
    found
}

/// What comes of comparing: where they agree, a note on what that rests on, empty if on a map.
type Checked = Result<&'static str, Doubt>;

fn differs(how: String) -> Checked {
    Err(Doubt::Differs(how))
}

fn compare_lengths(answer: Option<f64>, map: f64) -> Checked {
    let Some(answer) = answer else {
        return cannot_tell("the answer has no length");
    };
    if (answer - map).abs() <= (LENGTH_SHARE * map).max(LENGTH_M) {
        return Ok("");
    }
    differs(format!(
        "the answer says {answer:.2} m, the maps {map:.2} m"
    ))
}

fn compare_counts(answer: Option<f64>, map: f64) -> Checked {
    match answer {
        None => cannot_tell("the answer has no count"),
        Some(n) if n == map => Ok(""),
        // The maps' names may be other words for the same things.
        Some(_) if map == 0.0 => cannot_tell("no region is called so"),
        Some(n) => differs(format!("the answer says {n}, the maps {map}")),
    }
}

/// Comparing places along an axis, in words.
#[derive(Clone, Copy)]
enum Basis {
    /// Of x and y: the model's own words.
    Places,
    /// Of z: a map.
    Depth,
}

impl Basis {
    fn of(axis: Axis) -> Self {
        match axis {
            Axis::X | Axis::Y => Self::Places,
            Axis::Z | Axis::Any => Self::Depth,
        }
    }

    fn agrees(self) -> Checked {
        match self {
            Self::Places => Ok(OWN_WORDS),
            Self::Depth => Ok(""),
        }
    }

    fn differs(self, how: &str) -> Checked {
        differs(match self {
            Self::Places => format!("the places show {how}; {OWN_WORDS}"),
            Self::Depth => format!("the depth map shows {how}"),
        })
    }

    fn alike(self, which: &str) -> Checked {
        cannot_tell(match self {
            Self::Places => format!("{which} places are alike; {OWN_WORDS}"),
            Self::Depth => format!("{which} depths are alike"),
        })
    }
}

fn relation(pixels: &Pixels, side: Option<(Axis, f64)>, objects: &[String]) -> Checked {
    let Some((axis, side)) = side else {
        return cannot_tell("the answer names no side");
    };
    pixels.confirm(objects)?;
    let (first, least) = pixels.coordinate(0, axis)?;
    let (second, _) = pixels.coordinate(1, axis)?;
    let towards = (first - second) * side;
    let basis = Basis::of(axis);
    if towards >= least {
        basis.agrees()
    } else if towards <= -least {
        basis.differs("it on the other side")
    } else {
        basis.alike("the")
    }
}

fn order_of(pixels: &Pixels, order: Option<&[usize]>, measurement: &Measurement) -> Checked {
    let Some(order) = order else {
        return cannot_tell("the answer does not name every object");
    };
    pixels.confirm(measurement.objects())?;
    let (axis, basis) = (measurement.axis(), Basis::of(measurement.axis()));
    let mut clear = true;
    for pair in order.windows(2) {
        let (first, least) = pixels.coordinate(pair[0], axis)?;
        let (second, _) = pixels.coordinate(pair[1], axis)?;
        if first - second >= least {
            let how = format!("object {} before object {}", pair[1] + 1, pair[0] + 1);
            return basis.differs(&how);
        }
        clear &= second - first >= least;
    }
    if clear {
        basis.agrees()
    } else {
        basis.alike("some")
    }
}

/// Whether the model, asked what is there, names the object.
fn named_alike(pixels: &Pixels, object: &str) -> Checked {
    match pixels.name(0)? {
        name if same_thing(name, object) => Ok(ASKED_BACK),
        "" => cannot_tell("asked what is there, the model gives no name"),
        name => differs(format!("asked what is there, the model says: {name}")),
    }
}
