//! Rays of the camera.

use nalgebra::{Point3, Vector3};

/// A half line in the world. Its direction advances one metre along the optical axis, so `t` is depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    /// The camera.
    pub origin: Point3<f64>,
    /// What one metre of depth adds.
    pub direction: Vector3<f64>,
}

impl Ray {
    /// The point at a depth, in the world.
    pub fn at(&self, depth: f64) -> Point3<f64> {
        self.origin + self.direction * depth
    }
}
