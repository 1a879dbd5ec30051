//! The places of an observation, whether the model confirms them, and what the maps say there.

use cooper_metric::{Affine, Interpolation, Intrinsics, quantile};
use nalgebra::{Point2, Point3, Vector3};

use super::measurement::{Kind, Measurement};
use super::observe::Observation;
use crate::perception::{DepthMap, UNLABELED};
use crate::reasoning::answers::{Axis, same_thing};

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

/// Why an answer and what it is compared with are not seen to agree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    Differs(String),
    CannotTell(String),
}

pub(super) fn cannot_tell<T>(why: impl Into<String>) -> Result<T, Doubt> {
    Err(Doubt::CannotTell(why.into()))
}

/// The places of an observation, and what the maps say there.
pub(super) struct Pixels<'a> {
    pub(super) seen: &'a Observation,
    pub(super) metric: Option<&'a Metric>,
}

impl Pixels<'_> {
    fn place(&self, i: usize) -> Result<Point2<f64>, Doubt> {
        match self.seen.places.get(i).copied().flatten() {
            Some(place) => Ok(place),
            None => cannot_tell(format!("the model does not tell where object {} is", i + 1)),
        }
    }

    /// What the model names at the place of object `i`, asked back; empty if nothing.
    pub(super) fn name(&self, i: usize) -> Result<&str, Doubt> {
        let place = self.place(i)?;
        let asked = self.seen.names.iter().find(|named| named.at == place);
        Ok(asked.map_or("", |named| named.name.trim()))
    }

    /// That the model, asked back, names each object at its place.
    pub(super) fn confirm(&self, objects: &[String]) -> Result<(), Doubt> {
        let mut doubts = Vec::new();
        for (i, object) in objects.iter().enumerate() {
            let says = match self.name(i) {
                Ok(name) if same_thing(name, object) => continue,
                Ok("") => "gives no name".to_owned(),
                Ok(name) => format!("says: {name}"),
                Err(Doubt::CannotTell(why) | Doubt::Differs(why)) => {
                    doubts.push(why);
                    continue;
                }
            };
            let n = i + 1;
            doubts.push(format!(
                "object {n} (`{object}`) is not confirmed: asked what is at its place, the model {says}"
            ));
        }
        if doubts.is_empty() {
            return Ok(());
        }
        cannot_tell(doubts.join("; "))
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

    pub(super) fn point(&self, i: usize) -> Option<Point3<f64>> {
        self.try_point(i).ok()
    }

    pub(super) fn length_m(&self, measurement: &Measurement) -> Result<f64, Doubt> {
        let objects = measurement.objects();
        self.confirm(objects)?;
        match measurement.kind() {
            Kind::Size => self.size_m(measurement.axis()),
            _ => self.distance_m(measurement.axis(), objects.len()),
        }
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
    pub(super) fn count(&self, object: &str) -> Result<f64, Doubt> {
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
    pub(super) fn coordinate(&self, i: usize, axis: Axis) -> Result<(f64, f64), Doubt> {
        let (width, height) = self.seen.size;
        match axis {
            Axis::X => Ok((self.place(i)?.x, PLACE_SHARE * f64::from(width))),
            Axis::Y => Ok((self.place(i)?.y, PLACE_SHARE * f64::from(height))),
            Axis::Z | Axis::Any => Ok((self.relative(i)?, DEPTH_STEP)),
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
