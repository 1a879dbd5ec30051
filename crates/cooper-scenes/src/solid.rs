//! The shapes of objects, and where rays hit them.

use nalgebra::{Point3, Vector3};
use serde::{Deserialize, Serialize};

use super::ray::Ray;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// A cuboid, turned about the vertical.
    Box,
    /// A sphere.
    Ball,
    /// An upright cylinder.
    Can,
    /// An upright cone, its tip on top.
    Cone,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Box, Self::Ball, Self::Can, Self::Cone];

    /// The word of questions and answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::Ball => "ball",
            Self::Can => "can",
            Self::Cone => "cone",
        }
    }

    /// The word for several.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Box => "boxes",
            Self::Ball => "balls",
            Self::Can => "cans",
            Self::Cone => "cones",
        }
    }
}

/// A shape in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solid {
    /// Which shape.
    pub category: Category,
    /// The middle of its extents, in the world.
    pub center: Point3<f64>,
    /// Half its extents along its own axes, the third one up; the first two are equal unless it is a box.
    pub half: Vector3<f64>,
    /// From the world's x axis to its own, counter-clockwise seen from above, in radians.
    pub yaw: f64,
    /// Cosine and sine of `yaw`: millions of rays ask for them.
    turn: [f64; 2],
}

impl Solid {
    /// Half extents in metres, `yaw` in radians. Round shapes take the first half extent as their radius.
    pub fn new(category: Category, center: Point3<f64>, half: Vector3<f64>, yaw: f64) -> Self {
        let half = match category {
            Category::Box => half,
            Category::Ball => Vector3::repeat(half.x),
            Category::Can | Category::Cone => Vector3::new(half.x, half.x, half.z),
        };
        Self {
            category,
            center,
            half,
            yaw,
            turn: [yaw.cos(), yaw.sin()],
        }
    }

    /// A vector of the world along the solid's own axes.
    pub(super) fn own_from_world(&self, v: Vector3<f64>) -> Vector3<f64> {
        let [cos, sin] = self.turn;
        Vector3::new(cos * v.x + sin * v.y, cos * v.y - sin * v.x, v.z)
    }

    fn world_from_own(&self, v: Vector3<f64>) -> Vector3<f64> {
        let [cos, sin] = self.turn;
        Vector3::new(cos * v.x - sin * v.y, sin * v.x + cos * v.y, v.z)
    }

    /// The radius of the vertical cylinder around it.
    pub fn radius(&self) -> f64 {
        match self.category {
            Category::Box => self.half.x.hypot(self.half.y),
            _ => self.half.x,
        }
    }

    /// The depth at which a ray from outside enters it.
    pub fn depth_along(&self, ray: &Ray) -> Option<f64> {
        let from = self.own_from_world(ray.origin - self.center);
        let along = self.own_from_world(ray.direction);
        if self.category == Category::Ball {
            let (enter, leave) = ball(&from, &along, self.half.x)?;
            return (enter < leave && enter > 0.0).then_some(enter);
        }
        // All of these are convex: the ray is inside where it is inside of the slab and of the sides.
        let (mut enter, mut leave) = slab(from.z, along.z, self.half.z);
        let (first, last) = match self.category {
            Category::Can => can_side(&from, &along, self.half.x)?,
            Category::Cone => cone_side(&from, &along, &self.half)?,
            Category::Box | Category::Ball => {
                let (x, y) = (
                    slab(from.x, along.x, self.half.x),
                    slab(from.y, along.y, self.half.y),
                );
                (x.0.max(y.0), x.1.min(y.1))
            }
        };
        (enter, leave) = (enter.max(first), leave.min(last));
        (enter < leave && enter > 0.0).then_some(enter)
    }

    /// The outward normal at a point of the surface, both in the world.
    pub fn normal(&self, on_surface: &Point3<f64>) -> Vector3<f64> {
        let p = self.own_from_world(on_surface - self.center);
        let ratio = p.component_div(&self.half);
        let own = match self.category {
            Category::Box => {
                let axis = ratio.iamax();
                Vector3::ith(axis, ratio[axis].signum())
            }
            Category::Ball => p,
            Category::Can if ratio.z.abs() > ratio.xy().norm() => Vector3::z() * ratio.z.signum(),
            Category::Can => Vector3::new(p.x, p.y, 0.0),
            Category::Cone if ratio.z < -1.0 + 1e-5 => -Vector3::z(),
            Category::Cone => {
                let slope = self.half.x / (2.0 * self.half.z);
                Vector3::new(p.x, p.y, slope * p.xy().norm())
            }
        };
        self.world_from_own(own.try_normalize(0.0).unwrap_or_else(Vector3::z))
    }

    /// How far a point of the ground is from where the solid stands, in metres; 0 below it.
    pub(super) fn distance_over_ground(&self, point: &Point3<f64>) -> f64 {
        let p = self.own_from_world(point - self.center);
        match self.category {
            Category::Box => {
                let beyond = |at: f64, half: f64| (at.abs() - half).max(0.0);
                beyond(p.x, self.half.x).hypot(beyond(p.y, self.half.y))
            }
            // A ball touches the ground in its middle only.
            Category::Ball => (p.x.hypot(p.y) - 0.5 * self.half.x).max(0.0),
            Category::Can | Category::Cone => (p.x.hypot(p.y) - self.half.x).max(0.0),
        }
    }
}

/// Where a coordinate lies between `-half` and `half`.
fn slab(from: f64, along: f64, half: f64) -> (f64, f64) {
    let inverse = along.recip();
    let (a, b) = ((-half - from) * inverse, (half - from) * inverse);
    (a.min(b), a.max(b))
}

/// The roots of `a t^2 + 2 b t + c`, as (with minus, with plus).
fn roots(a: f64, b: f64, c: f64) -> Option<(f64, f64)> {
    let discriminant = b * b - a * c;
    (discriminant >= 0.0).then(|| {
        let root = discriminant.sqrt();
        ((-b - root) / a, (-b + root) / a)
    })
}

fn ball(from: &Vector3<f64>, along: &Vector3<f64>, radius: f64) -> Option<(f64, f64)> {
    roots(
        along.norm_squared(),
        from.dot(along),
        from.norm_squared() - radius * radius,
    )
}

fn can_side(from: &Vector3<f64>, along: &Vector3<f64>, radius: f64) -> Option<(f64, f64)> {
    let (from, along) = (from.xy(), along.xy());
    // A ray straight down has no side to enter by; a breath of slope keeps the division defined.
    let a = along.norm_squared().max(1e-12);
    roots(a, from.dot(&along), from.norm_squared() - radius * radius)
}

/// The part of the ray inside the double cone that holds the lower cone.
fn cone_side(from: &Vector3<f64>, along: &Vector3<f64>, half: &Vector3<f64>) -> Option<(f64, f64)> {
    let slope = half.x / (2.0 * half.z);
    let below_tip = half.z - from.z;
    let a = along.xy().norm_squared() - (slope * along.z).powi(2);
    let b = from.xy().dot(&along.xy()) + slope * slope * below_tip * along.z;
    let c = from.xy().norm_squared() - (slope * below_tip).powi(2);
    let a = if a.abs() < 1e-12 { 1e-12 } else { a };
    let (minus, plus) = roots(a, b, c)?;
    if a > 0.0 {
        return Some((minus, plus));
    }
    // Steeper than the side: the ray is in one cone before the smaller root and in the other one after the larger.
    Some(if along.z < 0.0 {
        (minus.max(plus), f64::INFINITY)
    } else {
        (f64::NEG_INFINITY, minus.min(plus))
    })
}
