//! A pinhole camera without distortion.

use nalgebra::{Isometry3, Matrix3, Point2, Point3, Rotation3, Translation3, Vector3};
use rand::rngs::StdRng;

use super::config::SceneConfig;
use super::ray::Ray;
use super::room::Room;
use super::sampling::between;

/// The camera stands this far from the wall behind it.
const BEHIND_M: [f64; 2] = [0.3, 0.8];
/// How far it stands from the middle between the side walls, as a share of the room's width.
const ASIDE_SHARE: [f64; 2] = [-0.25, 0.25];

/// Where the camera is and how it projects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Focal length along rows, in pixels.
    pub fx: f64,
    /// Focal length along columns, in pixels.
    pub fy: f64,
    /// Column of the optical axis; the leftmost pixel's centre is 0.
    pub cx: f64,
    /// Row of the optical axis; the topmost pixel's centre is 0.
    pub cy: f64,
    /// Takes points of the optical frame to the world.
    pub world_from_camera: Isometry3<f64>,
}

impl Camera {
    /// A camera somewhere at the near end of a room, looking along it.
    pub(super) fn random(config: &SceneConfig, room: &Room, rng: &mut StdRng) -> Self {
        let (width, height) = (f64::from(config.width), f64::from(config.height));
        let half_fov = between(rng, config.horizontal_fov_deg).to_radians() / 2.0;
        let focal = width / 2.0 / half_fov.tan();
        let highest = (room.height_m - 0.1).max(0.1);
        let position = Translation3::new(
            room.width_m * between(rng, ASIDE_SHARE),
            between(rng, BEHIND_M),
            between(rng, config.camera_height_m).min(highest),
        );
        let [yaw, pitch, roll] = [config.yaw_deg, config.pitch_deg, config.roll_deg]
            .map(|span| between(rng, span).to_radians());
        Self {
            fx: focal,
            fy: focal,
            cx: (width - 1.0) / 2.0,
            cy: (height - 1.0) / 2.0,
            world_from_camera: Isometry3::from_parts(position, rotation(yaw, pitch, roll).into()),
        }
    }

    /// The camera's place in the world.
    pub fn position(&self) -> Point3<f64> {
        self.world_from_camera.translation.vector.into()
    }

    /// The ray through a pixel coordinate.
    pub fn ray(&self, column: f64, row: f64) -> Ray {
        let in_camera = Vector3::new((column - self.cx) / self.fx, (row - self.cy) / self.fy, 1.0);
        Ray {
            origin: self.position(),
            direction: self.world_from_camera * in_camera,
        }
    }

    /// The pixel coordinates of a point of the world; none behind the camera.
    pub fn project(&self, in_world: &Point3<f64>) -> Option<Point2<f64>> {
        let p = self.world_from_camera.inverse_transform_point(in_world);
        let pixel = || Point2::new(self.cx + self.fx * p.x / p.z, self.cy + self.fy * p.y / p.z);
        (p.z > 0.0).then(pixel)
    }
}

/// World from camera: to the left by `yaw`, down by `pitch`, clockwise by `roll`, in radians.
pub(super) fn rotation(yaw: f64, pitch: f64, roll: f64) -> Rotation3<f64> {
    // The optical frame of a level camera that looks along the world's y.
    let level = Matrix3::from_columns(&[Vector3::x(), -Vector3::z(), Vector3::y()]);
    Rotation3::from_axis_angle(&Vector3::z_axis(), yaw)
        * Rotation3::from_matrix_unchecked(level)
        * Rotation3::from_axis_angle(&Vector3::x_axis(), -pitch)
        * Rotation3::from_axis_angle(&Vector3::z_axis(), roll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: Vector3<f64>, expected: [f64; 3]) {
        let expected = Vector3::from(expected);
        assert!((got - expected).norm() < 1e-9, "{got} {expected}");
    }

    #[test]
    fn angles_turn_the_way_their_names_say() {
        let quarter = std::f64::consts::FRAC_PI_2;
        check(rotation(0.0, 0.0, 0.0) * Vector3::z(), [0.0, 1.0, 0.0]);
        check(rotation(0.0, 0.0, 0.0) * Vector3::y(), [0.0, 0.0, -1.0]);
        check(rotation(quarter, 0.0, 0.0) * Vector3::z(), [-1.0, 0.0, 0.0]);
        check(rotation(0.0, quarter, 0.0) * Vector3::z(), [0.0, 0.0, -1.0]);
        check(rotation(0.0, 0.0, quarter) * Vector3::x(), [0.0, 0.0, -1.0]);
    }

    #[test]
    fn a_ray_is_projected_to_its_pixel() {
        let (config, room) = (SceneConfig::default(), Room::for_tests());
        let mut rng = super::super::sampling::scene_rng(super::super::Split::Test, 0);
        let camera = Camera::random(&config, &room, &mut rng);
        let ray = camera.ray(17.0, 80.0);
        let depth = camera
            .world_from_camera
            .inverse_transform_point(&ray.at(2.5))
            .z;
        assert!((depth - 2.5).abs() < 1e-9);
        let pixel = camera.project(&ray.at(2.5)).unwrap();
        assert!((pixel - Point2::new(17.0, 80.0)).norm() < 1e-9);
        assert_eq!(camera.project(&ray.at(-1.0)), None);
    }
}
