//! Eight named colours, and the colours of segmentation images.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::sampling::between;

/// The floor of a segmentation image.
pub const FLOOR_GREY: [u8; 3] = [60; 3];
/// The walls of a segmentation image.
pub const WALL_GREY: [u8; 3] = [128; 3];
/// The ceiling of a segmentation image.
pub const CEILING_GREY: [u8; 3] = [200; 3];

/// What an object's colour is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it all.
pub enum ColorName {
    Red,
    Orange,
    Yellow,
    Green,
    Cyan,
    Blue,
    Purple,
    Pink,
}

impl ColorName {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Cyan,
        Self::Blue,
        Self::Purple,
        Self::Pink,
    ];

    /// The word of questions and answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Cyan => "cyan",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
        }
    }

    /// The paint in segmentation images: at least 90 from every other one and from the greys (Euclidean, 8-bit RGB).
    pub fn paint(self) -> [u8; 3] {
        match self {
            Self::Red => [255, 0, 0],
            Self::Orange => [255, 128, 0],
            Self::Yellow => [255, 255, 0],
            Self::Green => [0, 255, 0],
            Self::Cyan => [0, 255, 255],
            Self::Blue => [0, 0, 255],
            Self::Purple => [128, 0, 255],
            Self::Pink => [255, 96, 200],
        }
    }

    /// Hue in degrees, saturation and value of objects of this colour in images.
    fn hsv(self) -> [f64; 3] {
        match self {
            Self::Red => [358.0, 0.88, 0.84],
            Self::Orange => [26.0, 0.92, 0.98],
            Self::Yellow => [54.0, 0.88, 0.95],
            Self::Green => [125.0, 0.80, 0.66],
            Self::Cyan => [182.0, 0.75, 0.88],
            Self::Blue => [222.0, 0.85, 0.82],
            Self::Purple => [274.0, 0.70, 0.68],
            Self::Pink => [332.0, 0.48, 1.0],
        }
    }

    /// The reflectance of one object of this colour, RGB in [0, 1]: no two red boxes are equally red.
    pub(super) fn albedo(self, rng: &mut StdRng) -> [f64; 3] {
        let [hue, saturation, value] = self.hsv();
        rgb([
            hue + between(rng, [-4.0, 4.0]),
            saturation * between(rng, [0.93, 1.07]),
            value * between(rng, [0.92, 1.08]),
        ])
    }
}

/// RGB in [0, 1] of a hue in degrees, a saturation and a value.
pub(super) fn rgb([hue, saturation, value]: [f64; 3]) -> [f64; 3] {
    [5.0, 3.0, 1.0].map(|shift| {
        let k = (shift + hue / 60.0).rem_euclid(6.0);
        let missing = k.min(4.0 - k).clamp(0.0, 1.0);
        value.min(1.0) * (1.0 - saturation.min(1.0) * missing)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_are_far_apart() {
        let mut paints = vec![FLOOR_GREY, WALL_GREY, CEILING_GREY];
        for color in ColorName::ALL {
            let paint = color.paint();
            for other in &paints {
                let squares = paint.iter().zip(other).map(|(&a, &b)| {
                    let difference = f64::from(a) - f64::from(b);
                    difference * difference
                });
                let distance = squares.sum::<f64>().sqrt();
                assert!(distance >= 90.0, "{color:?} {other:?}: {distance}");
            }
            paints.push(paint);
        }
    }

    #[test]
    fn hues_are_those_of_the_colour_wheel() {
        assert_eq!(rgb([0.0, 1.0, 1.0]), [1.0, 0.0, 0.0]);
        assert_eq!(rgb([60.0, 1.0, 0.5]), [0.5, 0.5, 0.0]);
        assert_eq!(rgb([240.0, 0.5, 1.0]), [0.5, 0.5, 1.0]);
    }
}
