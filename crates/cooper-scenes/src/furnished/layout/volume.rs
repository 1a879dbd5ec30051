//! Upright boxes that things take.

use glam::{Vec2, Vec3};

/// A box that is turned about the vertical, in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Volume {
    pub center: Vec2,
    /// Half its extents along its own x and y.
    pub half: Vec2,
    pub yaw: f32,
    /// Lowest and highest point.
    pub low: f32,
    pub high: f32,
}

impl Volume {
    /// Of a thing of a size whose base is at `place`.
    pub(in super::super) fn of(size: Vec3, place: Vec3, yaw: f32) -> Self {
        Self {
            center: place.truncate(),
            half: size.truncate() / 2.0,
            yaw,
            low: place.z,
            high: place.z + size.z,
        }
    }

    /// Larger by a margin to all sides, less a little: what touches does not overlap.
    pub(in super::super) fn grown(self, margin: f32) -> Self {
        Self {
            half: (self.half + Vec2::splat(margin)).max(Vec2::ZERO),
            low: self.low - margin,
            high: self.high + margin,
            ..self
        }
    }

    fn axes(&self) -> [Vec2; 2] {
        let x = Vec2::from_angle(self.yaw);
        [x, x.perp()]
    }

    /// Its corners on the floor.
    pub(in super::super) fn corners(&self) -> [Vec2; 4] {
        let [x, y] = self.axes();
        [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
            .map(|(a, b)| self.center + x * (a * self.half.x) + y * (b * self.half.y))
    }

    /// Half its extent along a direction of the floor.
    fn reach(&self, direction: Vec2) -> f32 {
        let [x, y] = self.axes();
        x.dot(direction).abs() * self.half.x + y.dot(direction).abs() * self.half.y
    }

    pub(in super::super) fn overlaps(&self, other: &Self) -> bool {
        if self.high <= other.low || other.high <= self.low {
            return false;
        }
        let between = other.center - self.center;
        let axes = self.axes().into_iter().chain(other.axes());
        axes.into_iter()
            .all(|axis| between.dot(axis).abs() < self.reach(axis) + other.reach(axis))
    }

    pub(in super::super) fn contains(&self, point: Vec3) -> bool {
        let [x, y] = self.axes();
        let from = point.truncate() - self.center;
        (self.low..=self.high).contains(&point.z)
            && from.dot(x).abs() <= self.half.x
            && from.dot(y).abs() <= self.half.y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_boxes_overlap_where_they_meet() {
        let cube = |x: f32, yaw: f32| Volume::of(Vec3::ONE, Vec3::new(x, 0.0, 0.0), yaw);
        assert!(cube(0.0, 0.0).overlaps(&cube(0.9, 0.0)));
        assert!(!cube(0.0, 0.0).overlaps(&cube(1.1, 0.0)));
        // A corner reaches 0.71.
        assert!(cube(0.0, 0.0).overlaps(&cube(1.1, std::f32::consts::FRAC_PI_4)));
        assert!(!cube(0.0, 0.0).overlaps(&Volume::of(Vec3::ONE, Vec3::Z, 0.3)));
        assert!(cube(0.0, 0.0).contains(Vec3::new(0.4, -0.4, 0.5)));
        assert!(!cube(0.0, 0.0).contains(Vec3::new(0.4, -0.6, 0.5)));
    }
}
