//! Which way is down, as a camera sees it.

use nalgebra::Vector3;

/// How a camera is turned against a level one, in radians.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tilt {
    /// How far it looks down.
    pub pitch: f64,
    /// How far it is turned clockwise about its optical axis.
    pub roll: f64,
}

impl Tilt {
    /// Straight down as the camera sees it: a unit vector in the optical frame.
    pub fn down(&self) -> Vector3<f64> {
        let (sin_pitch, cos_pitch) = self.pitch.sin_cos();
        let (sin_roll, cos_roll) = self.roll.sin_cos();
        Vector3::new(sin_roll * cos_pitch, cos_roll * cos_pitch, sin_pitch)
    }

    /// The tilt of a camera in whose optical frame `down`, of any length, points straight down.
    pub fn from_down(down: &Vector3<f64>) -> Self {
        Self {
            pitch: down.z.atan2(down.x.hypot(down.y)),
            roll: down.x.atan2(down.y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilt_is_where_down_is() {
        assert_eq!(Tilt::default().down(), Vector3::y());
        // Looking down brings the floor ahead; a head tilted clockwise sees it to the right of its feet.
        assert!(
            Tilt {
                pitch: 0.1,
                roll: 0.0
            }
            .down()
            .z > 0.0
        );
        assert!(
            Tilt {
                pitch: 0.0,
                roll: 0.1
            }
            .down()
            .x > 0.0
        );
        let tilt = Tilt {
            pitch: 0.3,
            roll: -0.05,
        };
        let back = Tilt::from_down(&(tilt.down() * 7.0));
        assert!((back.pitch - 0.3).abs() < 1e-12 && (back.roll + 0.05).abs() < 1e-12);
    }
}
