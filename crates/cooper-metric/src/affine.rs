//! The line from relative depth to metres.

use std::fmt;

/// `metres = scale * relative + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Metres from relative 0 to relative 1.
    pub scale: f64,
    /// Metres at relative 0.
    pub shift: f64,
}

impl Affine {
    /// Metres at a relative depth.
    pub fn at(&self, relative: f64) -> f64 {
        self.scale * relative + self.shift
    }

    /// A map in metres; NaN where the map is NaN or the point would not be in front of the camera.
    ///
    /// Relative 1 is the end of the model's range: farther points have the same value.
    pub fn metres(&self, relative: &[f32]) -> Vec<f32> {
        let metres = |r: &f32| {
            let metres = self.at(f64::from(*r)) as f32;
            if metres.is_finite() && metres > 0.0 {
                metres
            } else {
                f32::NAN
            }
        };
        relative.iter().map(metres).collect()
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.shift < 0.0 { '-' } else { '+' };
        let (scale, shift) = (self.scale, self.shift.abs());
        write!(f, "{scale:.3} m * relative {sign} {shift:.3} m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metres_are_in_front_of_the_camera_or_none() {
        let line = Affine {
            scale: 10.0,
            shift: -1.0,
        };
        let metres = line.metres(&[0.5, 0.09, 0.05, f32::NAN, f32::INFINITY, 1.0]);
        assert_eq!((metres[0], metres[5]), (4.0, 9.0));
        assert!(metres[1..5].iter().all(|m| m.is_nan()), "{metres:?}");
    }
}
