//! Lens distortion, by the models of CameraInfo.
//!
//! Coordinates are those one metre ahead: x to the right, y down.

use cooper_imaging::{Error, Result};
use nalgebra::{Matrix2, Vector2};

/// Rounds of Newton's method; it takes three to five.
const ROUNDS: usize = 20;
/// How exactly a distorted coordinate is met: a millionth of a pixel at a focal length of 1000.
const EXACT: f64 = 1e-9;
/// Step of the differences that stand for derivatives.
const STEP: f64 = 1e-6;

/// How a lens moves what it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Distortion {
    /// Not at all.
    #[default]
    None,
    /// `plumb_bob` (the last three are 0) and `rational_polynomial`.
    Polynomial {
        /// k1, k2, k3 above the fraction and k4, k5, k6 below.
        radial: [f64; 6],
        /// p1, p2.
        tangential: [f64; 2],
    },
    /// `equidistant`: a fisheye's k1 to k4.
    Equidistant([f64; 4]),
}

impl Distortion {
    /// Read `distortion_model` and `d` of a CameraInfo; no coefficients, or zeros alone, are no distortion.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for another model, another number of coefficients, or NaN.
    pub fn read(model: &str, d: &[f64]) -> Result<Self> {
        if d.iter().any(|k| !k.is_finite()) {
            return refused(format!("expected numbers in d, got {d:?}"));
        }
        match (model, d) {
            ("equidistant", [0.0, 0.0, 0.0, 0.0]) => Ok(Self::Equidistant([0.0; 4])),
            (_, d) if d.iter().all(|k| *k == 0.0) => Ok(Self::None),
            ("plumb_bob" | "rational_polynomial", &[k1, k2, p1, p2, ref rest @ ..])
                if rest.len() <= 4 =>
            {
                let rest = |i: usize| rest.get(i).copied().unwrap_or(0.0);
                Ok(Self::Polynomial {
                    radial: [k1, k2, rest(0), rest(1), rest(2), rest(3)],
                    tangential: [p1, p2],
                })
            }
            ("equidistant", &[k1, k2, k3, k4]) => Ok(Self::Equidistant([k1, k2, k3, k4])),
            _ => refused(format!(
                "expected a distortion of plumb_bob (4 or 5 numbers), rational_polynomial (8) or equidistant (4), got {model} with {}",
                d.len()
            )),
        }
    }

    /// The distorted coordinates of the ideal ones.
    pub fn distort(&self, ideal: &Vector2<f64>) -> Vector2<f64> {
        let (x, y) = (ideal.x, ideal.y);
        match self {
            Self::None => *ideal,
            Self::Polynomial {
                radial: [k1, k2, k3, k4, k5, k6],
                tangential: [p1, p2],
            } => {
                let r2 = ideal.norm_squared();
                let above = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
                let below = 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6));
                let tangential = Vector2::new(
                    2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
                    p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
                );
                ideal * (above / below) + tangential
            }
            Self::Equidistant([k1, k2, k3, k4]) => {
                let r = ideal.norm();
                let theta = r.atan();
                let t2 = theta * theta;
                let bent = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))));
                if r > 0.0 { ideal * (bent / r) } else { *ideal }
            }
        }
    }

    /// The ideal coordinates of distorted ones, the inverse of [`Distortion::distort`]; none where the model has no inverse.
    pub fn undistort(&self, shown: &Vector2<f64>) -> Option<Vector2<f64>> {
        if *self == Self::None {
            return Some(*shown);
        }
        let mut ideal = *shown;
        for _ in 0..ROUNDS {
            let error = self.distort(&ideal) - shown;
            let jacobian = self.jacobian(&ideal);
            if error.norm() < EXACT {
                // Outside of its valid range a polynomial folds back.
                return (jacobian.determinant() > 0.0).then_some(ideal);
            }
            ideal -= jacobian.try_inverse()? * error;
        }
        None
    }

    fn jacobian(&self, at: &Vector2<f64>) -> Matrix2<f64> {
        let along = |step: Vector2<f64>| {
            (self.distort(&(at + step)) - self.distort(&(at - step))) / (2.0 * STEP)
        };
        Matrix2::from_columns(&[
            along(Vector2::new(STEP, 0.0)),
            along(Vector2::new(0.0, STEP)),
        ])
    }
}

fn refused<T>(why: String) -> Result<T> {
    Err(Error::invalid("camera_info", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenses() -> Vec<Distortion> {
        let read = |model, d: &[f64]| Distortion::read(model, d).unwrap();
        vec![
            read("plumb_bob", &[-0.35, 0.15, 0.001, -0.002, -0.03]),
            read("plumb_bob", &[0.1, -0.2, 0.0, 0.0]),
            read(
                "rational_polynomial",
                &[8.1, 4.3, 0.0003, -0.0001, 0.2, 8.4, 6.7, 1.1],
            ),
            read("equidistant", &[-0.01, 0.02, -0.005, 0.001]),
            read("equidistant", &[0.0; 4]),
        ]
    }

    #[test]
    fn what_was_distorted_is_found_again() {
        for lens in lenses() {
            for i in 0..400 {
                let ideal = Vector2::new(f64::from(i % 20) - 9.5, f64::from(i / 20) - 9.5) * 0.07;
                let back = lens.undistort(&lens.distort(&ideal)).unwrap();
                assert!((back - ideal).norm() < 1e-8, "{lens:?}: {ideal} {back}");
            }
        }
    }

    #[test]
    fn coefficients_mean_what_the_models_say() {
        let at = |model, d: &[f64], x, y| {
            Distortion::read(model, d)
                .unwrap()
                .distort(&Vector2::new(x, y))
        };
        // r² is 0.25: 1 + 0.1 * 0.25 + 0.2 * 0.0625 + 0.4 * 0.015625 = 1.04375.
        let radial = at("plumb_bob", &[0.1, 0.2, 0.0, 0.0, 0.4], 0.3, 0.4);
        assert!((radial - Vector2::new(0.3, 0.4) * 1.04375).norm() < 1e-12);
        let tangential = at("plumb_bob", &[0.0, 0.0, 0.1, 0.2], 0.3, 0.4);
        let expected = Vector2::new(0.3 + 0.024 + 0.086, 0.4 + 0.057 + 0.048);
        assert!((tangential - expected).norm() < 1e-12, "{tangential}");
        let fisheye = at("equidistant", &[0.0; 4], 1.0, 0.0);
        assert!((fisheye.x - std::f64::consts::FRAC_PI_4).abs() < 1e-12);
    }

    #[test]
    fn a_fold_has_no_inverse() {
        let lens = Distortion::read("plumb_bob", &[-0.5, 0.0, 0.0, 0.0]).unwrap();
        // r - r³ / 2 is never above 0.544.
        assert!(lens.undistort(&Vector2::new(0.5, 0.0)).is_some());
        assert_eq!(lens.undistort(&Vector2::new(0.6, 0.0)), None);
    }

    #[test]
    fn other_models_are_refused_by_name() {
        for model in ["", "plumb_bob", "whatever"] {
            assert_eq!(
                Distortion::read(model, &[0.0; 5]).unwrap(),
                Distortion::None
            );
            assert_eq!(Distortion::read(model, &[]).unwrap(), Distortion::None);
        }
        for (model, d) in [
            ("whatever", &[0.1][..]),
            ("plumb_bob", &[0.1; 3]),
            ("rational_polynomial", &[0.1; 12]),
            ("equidistant", &[0.1; 5]),
        ] {
            let error = Distortion::read(model, d).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("got {model} with {}", d.len())),
                "{error}"
            );
        }
        assert!(Distortion::read("plumb_bob", &[f64::NAN; 5]).is_err());
    }
}
