//! The answer as a number, the same number from the maps, and whether the two agree.

use cooper_metric::{Affine, Interpolation, Intrinsics, quantile};
use nalgebra::{Point2, Point3, Vector3};

use super::measurement::{Kind, Measurement};
use super::observe::Observation;
use crate::perception::{DepthMap, UNLABELED};
use crate::reasoning::answers::{Axis, count, length_m, order, same_thing, side};

/// Lengths agree if they differ by at most this share of the map's,
const LENGTH_SHARE: f64 = 0.25;
/// or by this.
const LENGTH_M: f64 = 0.1;
/// Two relative depths are told apart if they differ by this; a map's noise is below it.
const DEPTH_STEP: f64 = 0.02;
/// Two places are told apart if they differ by this share of the image's side.
const PLACE_SHARE: f64 = 0.02;
/// Half the side of the window around a place in which depth is read, as a share of the image's width.
const WINDOW_SHARE: f64 = 0.015;

/// What makes metres of relative depth and pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Of this image's relative depth.
    pub scale: Affine,
    /// Of this image's size.
    pub intrinsics: Intrinsics,
}

/// Whether answer and maps say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The maps, or the answer, cannot tell.
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
    /// The same quantity read from the maps.
    pub map_value: Option<f64>,
    /// [`Kind::Order`]: the objects in the answered order.
    pub ordered: Vec<String>,
    /// Pixels of the first object in the source image.
    pub pixel: Option<Point2<f64>>,
    /// Metres of the first object in the optical frame.
    pub point: Option<Point3<f64>>,
    /// Whether answer and maps say the same.
    pub agreement: Agreement,
    /// Why they do not, or why it cannot be told; empty if they agree.
    pub remark: String,
}

/// Compare an answer with the maps; without `metric` lengths cannot be checked.
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
    let checked = match measurement.kind() {
        Kind::Distance | Kind::Size => {
            found.value = length_m(answer);
            let map_value = match measurement.kind() {
                Kind::Size => pixels.size_m(measurement.axis()),
                _ => pixels.distance_m(measurement.axis(), measurement.objects().len()),
            };
            found.map_value = map_value.as_ref().ok().copied();
            map_value.and_then(|map| compare_lengths(found.value, map))
        }
        Kind::Count => {
            found.value = count(answer);
            let map_value = pixels.count(&measurement.objects()[0]);
            found.map_value = map_value.as_ref().ok().copied();
            map_value.and_then(|map| compare_counts(found.value, map))
        }
        Kind::Relation => pixels.relation(answer, measurement.axis()),
        Kind::Order => {
            let order = order(answer, measurement.objects());
            if let Some(order) = &order {
                let name = |i: &usize| measurement.objects()[*i].clone();
                found.ordered = order.iter().map(name).collect();
            }
            pixels.order(order.as_deref(), measurement.axis())
        }
        Kind::Locate => pixels.named_alike(&measurement.objects()[0]),
    };
    found.unit = match measurement.kind() {
        Kind::Distance | Kind::Size if found.value.is_some() => "m",
        _ => "",
    };
    (found.agreement, found.remark) = match checked {
        Ok(()) => (Agreement::Consistent, String::new()),
        Err(Doubt::Differs(how)) => (Agreement::Contradicts, how),
        Err(Doubt::CannotTell(why)) => (Agreement::Unknown, why),
    };
    found
}

/// Why answer and maps are not seen to agree.
#[derive(Clone, Debug, PartialEq)]
enum Doubt {
    Differs(String),
    CannotTell(String),
}

fn cannot_tell<T>(why: impl Into<String>) -> Result<T, Doubt> {
    Err(Doubt::CannotTell(why.into()))
}

fn differs(how: String) -> Result<(), Doubt> {
    Err(Doubt::Differs(how))
}

fn compare_lengths(answer: Option<f64>, map: f64) -> Result<(), Doubt> {
    let Some(answer) = answer else {
        return cannot_tell("the answer has no length");
    };
    if (answer - map).abs() <= (LENGTH_SHARE * map).max(LENGTH_M) {
        return Ok(());
    }
    differs(format!(
        "the answer says {answer:.2} m, the maps {map:.2} m"
    ))
}

fn compare_counts(answer: Option<f64>, map: f64) -> Result<(), Doubt> {
    match answer {
        None => cannot_tell("the answer has no count"),
        Some(n) if n == map => Ok(()),
        // The maps' names may be other words for the same things.
        Some(_) if map == 0.0 => cannot_tell("no region is called so"),
        Some(n) => differs(format!("the answer says {n}, the maps {map}")),
    }
}

/// The places of an observation, and what the maps say there.
struct Pixels<'a> {
    seen: &'a Observation,
    metric: Option<&'a Metric>,
}

impl Pixels<'_> {
    fn place(&self, i: usize) -> Result<Point2<f64>, Doubt> {
        match self.seen.places.get(i).copied().flatten() {
            Some(place) => Ok(place),
            None => cannot_tell(format!("the model does not tell where object {} is", i + 1)),
        }
    }

    fn relative(&self, i: usize) -> Result<f64, Doubt> {
        let place = self.place(i)?;
        let Some(depth) = &self.seen.depth else {
            return cannot_tell("there is no depth map");
        };
        match median_around(depth, place) {
            Some(relative) => Ok(relative),
            None => cannot_tell(format!("the depth map has no value at object {}", i + 1)),
        }
    }

    fn metric(&self) -> Result<&Metric, Doubt> {
        match self.metric {
            Some(metric) => Ok(metric),
            None => cannot_tell("there is no metric scale"),
        }
    }

    fn try_point(&self, i: usize) -> Result<Point3<f64>, Doubt> {
        let metric = self.metric()?;
        let (place, z) = (self.place(i)?, metric.scale.at(self.relative(i)?));
        if z <= 0.0 {
            return cannot_tell(format!("the scale puts object {} behind the camera", i + 1));
        }
        Ok(Point3::from(metric.intrinsics.ray(place.x, place.y) * z))
    }

    fn point(&self, i: usize) -> Option<Point3<f64>> {
        self.try_point(i).ok()
    }

    fn distance_m(&self, axis: Axis, n: usize) -> Result<f64, Doubt> {
        let first = self.try_point(0)?.coords;
        let way = match n {
            1 => first,
            _ => self.try_point(1)?.coords - first,
        };
        Ok(along(&way, axis))
    }

    /// The extent of the region at the place, at the depth there.
    fn size_m(&self, axis: Axis) -> Result<f64, Doubt> {
        let point = self.try_point(0)?;
        let (place, metric) = (self.place(0)?, self.metric()?);
        let Some(segmentation) = &self.seen.segmentation else {
            return cannot_tell("there is no segmentation");
        };
        let at = place.y as usize * self.seen.size.0 as usize + place.x as usize;
        let label = segmentation.labels.get(at).copied().unwrap_or(UNLABELED);
        let Some(region) = segmentation.regions.get(usize::from(label)) else {
            return cannot_tell("the object lies in no region");
        };
        let width = f64::from(region.bounding_box.width) / metric.intrinsics.fx * point.z;
        let height = f64::from(region.bounding_box.height) / metric.intrinsics.fy * point.z;
        match axis {
            Axis::X => Ok(width),
            Axis::Y => Ok(height),
            Axis::Any => Ok(width.max(height)),
            Axis::Z => cannot_tell("one view does not tell how deep an object is"),
        }
    }

    /// Regions that are called like the object.
    fn count(&self, object: &str) -> Result<f64, Doubt> {
        if self.seen.names.is_empty() {
            return cannot_tell("the segmentation has no regions");
        }
        let called = self.seen.names.iter();
        let n = called
            .filter(|named| same_thing(&named.name, object))
            .count();
        Ok(n as f64)
    }

    /// Where object `i` lies on an axis, and the least difference that counts there.
    fn coordinate(&self, i: usize, axis: Axis) -> Result<(f64, f64), Doubt> {
        let (width, height) = self.seen.size;
        match axis {
            Axis::X => Ok((self.place(i)?.x, PLACE_SHARE * f64::from(width))),
            Axis::Y => Ok((self.place(i)?.y, PLACE_SHARE * f64::from(height))),
            Axis::Z | Axis::Any => Ok((self.relative(i)?, DEPTH_STEP)),
        }
    }

    fn relation(&self, answer: &str, axis: Axis) -> Result<(), Doubt> {
        let Some((axis, side)) = side(answer, axis) else {
            return cannot_tell("the answer names no side");
        };
        let (first, least) = self.coordinate(0, axis)?;
        let (second, _) = self.coordinate(1, axis)?;
        let towards = (first - second) * side;
        if towards >= least {
            Ok(())
        } else if towards <= -least {
            differs("the maps show it on the other side".into())
        } else {
            cannot_tell("the maps show both alike")
        }
    }

    fn order(&self, order: Option<&[usize]>, axis: Axis) -> Result<(), Doubt> {
        let Some(order) = order else {
            return cannot_tell("the answer does not name every object");
        };
        let mut clear = true;
        for pair in order.windows(2) {
            let (first, least) = self.coordinate(pair[0], axis)?;
            let (second, _) = self.coordinate(pair[1], axis)?;
            if first - second >= least {
                return differs(format!(
                    "the maps show object {} before object {}",
                    pair[1] + 1,
                    pair[0] + 1
                ));
            }
            clear &= second - first >= least;
        }
        if clear {
            return Ok(());
        }
        cannot_tell("the maps show some of them alike")
    }

    /// Whether the model, asked what is there, names the object.
    fn named_alike(&self, object: &str) -> Result<(), Doubt> {
        self.place(0)?;
        match self.seen.names.first() {
            Some(named) if same_thing(&named.name, object) => Ok(()),
            Some(named) if !named.name.trim().is_empty() => differs(format!(
                "asked what is there, the model says: {}",
                named.name
            )),
            _ => cannot_tell("asked what is there, the model gives no name"),
        }
    }
}

fn along(way: &Vector3<f64>, axis: Axis) -> f64 {
    match axis {
        Axis::Any => way.norm(),
        Axis::X => way.x.abs(),
        Axis::Y => way.y.abs(),
        Axis::Z => way.z.abs(),
    }
}

/// The median of the relative depths in a window around a pixel.
fn median_around(depth: &DepthMap, place: Point2<f64>) -> Option<f64> {
    let radius = (WINDOW_SHARE * f64::from(depth.width)).max(1.0);
    let span = |at: f64, extent: u32| {
        let first = (at - radius).max(0.0) as usize;
        let last = ((at + radius) as usize).min(extent as usize - 1);
        first..=last
    };
    let width = depth.width as usize;
    let rows = span(place.y, depth.height);
    let pixels = rows.flat_map(|y| span(place.x, depth.width).map(move |x| y * width + x));
    let values = pixels.filter_map(|i| depth.values.get(i).copied());
    let finite = values.filter(|value| value.is_finite());
    let mut values: Vec<f64> = finite.map(f64::from).collect();
    quantile(&mut values, 0.5, Interpolation::Nearest)
}
