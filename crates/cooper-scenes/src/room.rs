//! A rectangular room with floor, walls and ceiling in colours that no object has.

use nalgebra::{Point3, Vector3};
use rand::rngs::StdRng;

use super::colors::rgb;
use super::config::SceneConfig;
use super::ray::Ray;
use super::sampling::{between, one_of};

/// A room from `x = -width / 2`, `y = 0`, `z = 0` on, with its paints.
#[derive(Clone, Debug)]
pub struct Room {
    /// Extent along x.
    pub width_m: f64,
    /// Extent along y.
    pub depth_m: f64,
    /// Extent along z.
    pub height_m: f64,
    floor: Covering,
    /// Left, right, near, far.
    walls: [Covering; 4],
    ceiling: [f64; 3],
}

/// A side of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Floor,
    Wall(usize),
    Ceiling,
}

/// A pattern of one desaturated colour, RGB in [0, 1].
#[derive(Clone, Copy, Debug)]
struct Covering {
    color: [f64; 3],
    pattern: Pattern,
    /// How much darker the other tiles are, in [0, 1].
    contrast: f64,
}

#[derive(Clone, Copy, Debug)]
enum Pattern {
    Plain,
    /// Squares with sides in metres.
    Checker(f64),
    /// Boards along y, with a width in metres.
    Planks(f64),
    /// Upright stripes with a width in metres.
    Stripes(f64),
}

impl Room {
    pub(super) fn random(config: &SceneConfig, rng: &mut StdRng) -> Self {
        let wall = Covering::wall(rng);
        Self {
            width_m: between(rng, config.room_width_m),
            depth_m: between(rng, config.room_depth_m),
            height_m: between(rng, config.room_height_m),
            floor: Covering::floor(rng),
            // Usually walls match; a little difference in brightness keeps corners visible.
            walls: [1.0, 0.97, 1.03, 0.94].map(|shade| Covering {
                color: wall.color.map(|c| (c * shade).min(1.0)),
                ..wall
            }),
            ceiling: rgb([
                between(rng, [30.0, 60.0]),
                between(rng, [0.0, 0.04]),
                between(rng, [0.85, 0.97]),
            ]),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let mut rng = super::sampling::scene_rng(crate::Split::Test, 0);
        Self::random(&SceneConfig::default(), &mut rng)
    }

    /// Whether an upright cylinder of this radius is inside, with `margin` to the walls.
    pub(super) fn contains(&self, center: &Point3<f64>, radius: f64, margin: f64) -> bool {
        let reach = radius + margin;
        center.x.abs() + reach <= self.width_m / 2.0
            && center.y >= reach
            && center.y + reach <= self.depth_m
    }

    /// The depth at which a ray from inside leaves the room, and through which side.
    pub(super) fn depth_along(&self, ray: &Ray) -> (f64, Side) {
        let half = self.width_m / 2.0;
        let (from, along) = (ray.origin, ray.direction);
        let (x, left) = exit(from.x, along.x, [-half, half]);
        let (y, near) = exit(from.y, along.y, [0.0, self.depth_m]);
        let (z, below) = exit(from.z, along.z, [0.0, self.height_m]);
        if z <= x && z <= y {
            return (z, if below { Side::Floor } else { Side::Ceiling });
        }
        if x <= y {
            return (x, Side::Wall(usize::from(!left)));
        }
        (y, Side::Wall(2 + usize::from(!near)))
    }

    /// Reflectance at a point of a side, RGB in [0, 1]. Patterns finer than `footprint_m`, a pixel's extent, fade.
    pub(super) fn albedo(&self, side: Side, point: &Point3<f64>, footprint_m: f64) -> [f64; 3] {
        match side {
            Side::Floor => self.floor.at(point.x, point.y, footprint_m),
            Side::Wall(i @ 0..2) => self.walls[i].at(point.y, point.z, footprint_m),
            Side::Wall(i) => self.walls[i & 3].at(point.x, point.z, footprint_m),
            Side::Ceiling => self.ceiling,
        }
    }
}

impl Side {
    /// The normal into the room.
    pub(super) fn normal(self) -> Vector3<f64> {
        match self {
            Self::Floor => Vector3::z(),
            Self::Ceiling => -Vector3::z(),
            Self::Wall(0) => Vector3::x(),
            Self::Wall(1) => -Vector3::x(),
            Self::Wall(2) => Vector3::y(),
            Self::Wall(_) => -Vector3::y(),
        }
    }
}

/// Where a coordinate leaves an interval it is in, and whether by the low end.
fn exit(from: f64, along: f64, [low, high]: [f64; 2]) -> (f64, bool) {
    let is_low = along < 0.0;
    let end = if is_low { low } else { high };
    // Division by zero is an infinite way, which is right.
    ((end - from) / along, is_low)
}

impl Covering {
    fn floor(rng: &mut StdRng) -> Self {
        let grey = [between(rng, [0.0, 360.0]), between(rng, [0.0, 0.06])];
        let beige = [between(rng, [34.0, 46.0]), between(rng, [0.08, 0.22])];
        let wood = [between(rng, [24.0, 34.0]), between(rng, [0.22, 0.38])];
        let plank_m = between(rng, [0.12, 0.25]);
        let tile_m = between(rng, [0.3, 0.7]);
        let ([hue, saturation], pattern) = one_of(
            rng,
            [
                (wood, Pattern::Planks(plank_m)),
                (grey, Pattern::Checker(tile_m)),
                (beige, Pattern::Checker(tile_m)),
                (grey, Pattern::Plain),
                (beige, Pattern::Plain),
            ],
        );
        Self {
            color: rgb([hue, saturation, between(rng, [0.45, 0.8])]),
            pattern,
            contrast: between(rng, [0.1, 0.35]),
        }
    }

    fn wall(rng: &mut StdRng) -> Self {
        let stripe_m = between(rng, [0.15, 0.5]);
        Self {
            color: rgb([
                between(rng, [20.0, 60.0]),
                between(rng, [0.0, 0.15]),
                between(rng, [0.65, 0.92]),
            ]),
            pattern: one_of(rng, [Pattern::Plain, Pattern::Stripes(stripe_m)]),
            contrast: between(rng, [0.05, 0.14]),
        }
    }

    /// The colour at two coordinates of the surface in metres.
    fn at(&self, x: f64, y: f64, footprint_m: f64) -> [f64; 3] {
        let (darkness, tile_m) = match self.pattern {
            Pattern::Plain => return self.color,
            Pattern::Checker(m) => (parity(x / m) ^ parity(y / m), m),
            Pattern::Stripes(m) => (parity(x / m), m),
            Pattern::Planks(m) => {
                let (darkness, m) = (board(x, y, m), m);
                return self.darker(darkness * fade(m, footprint_m));
            }
        };
        self.darker(f64::from(u8::from(darkness)) * fade(tile_m, footprint_m))
    }

    fn darker(&self, darkness: f64) -> [f64; 3] {
        self.color.map(|c| c * (1.0 - self.contrast * darkness))
    }
}

fn parity(x: f64) -> bool {
    (x.floor() as i64) & 1 == 1
}

/// The darkness of a board of width `m`, in [0, 1]; joints are darkest.
fn board(x: f64, y: f64, m: f64) -> f64 {
    let row = (x / m).floor();
    // Boards are 1.2 m long and begin anywhere.
    let column = (y / 1.2 + row * 0.37).floor();
    if x / m - row < 0.06 {
        return 1.0;
    }
    (row * 0.618 + column * 0.414).rem_euclid(1.0) * 0.8
}

/// How much is left of a pattern of `tile_m` where a pixel covers `footprint_m`: sampled once, it would glitter.
fn fade(tile_m: f64, footprint_m: f64) -> f64 {
    (tile_m / (3.0 * footprint_m)).min(1.0)
}
