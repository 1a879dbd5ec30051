//! The part of an image that benchmarks look at.

use serde::Serialize;

/// Which part counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// All of it.
    #[default]
    None,
    /// Eigen's crop of NYU Depth v2: rows 45 to 470 and columns 41 to 600 of 480 x 640, in proportion elsewhere.
    Nyu,
    /// The fractions of KITTI that upstream has: rows 0.3324 to 0.9135, columns 0.0360 to 0.9641.
    ///
    /// These are Eigen's; Garg's crop of the same benchmark begins lower.
    Kitti,
}

/// A rectangle of pixels, the right column and the bottom row outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// The column behind the last.
    pub right: u32,
    /// The row behind the last.
    pub bottom: u32,
}

impl Crop {
    /// The part of an image of this size.
    ///
    /// Taken at the truth's size; upstream crops after resizing the truth, and KITTI by NYU's numbers (quirk Q11).
    pub fn window(self, width: u32, height: u32) -> Window {
        let (w, h) = (f64::from(width), f64::from(height));
        // Saturating conversions; fractions of KITTI are cut off as upstream's `astype(int)`.
        match self {
            Self::None => Window {
                left: 0,
                top: 0,
                right: width,
                bottom: height,
            },
            Self::Nyu => Window {
                left: (41.0 * w / 640.0).round() as u32,
                top: (45.0 * h / 480.0).round() as u32,
                right: (601.0 * w / 640.0).round() as u32,
                bottom: (471.0 * h / 480.0).round() as u32,
            },
            Self::Kitti => Window {
                left: (0.035_947_7 * w) as u32,
                top: (0.332_432_4 * h) as u32,
                right: (0.964_052_29 * w) as u32,
                bottom: (0.913_513_51 * h) as u32,
            },
        }
    }

    /// The range in which the benchmark's truth counts, metres.
    pub fn range_m(self) -> [f64; 2] {
        match self {
            Self::None => [0.0, f64::INFINITY],
            Self::Nyu => [1e-3, 10.0],
            Self::Kitti => [1e-5, 80.0],
        }
    }
}

impl Window {
    /// Whether a pixel lies in it.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(crop: Crop, size: (u32, u32), expected: (u32, u32, u32, u32)) {
        let w = crop.window(size.0, size.1);
        assert_eq!((w.left, w.top, w.right, w.bottom), expected);
    }

    #[test]
    fn borders_are_the_benchmarks() {
        check(Crop::None, (5, 4), (0, 0, 5, 4));
        check(Crop::Nyu, (640, 480), (41, 45, 601, 471));
        check(Crop::Nyu, (320, 240), (21, 23, 301, 236));
        check(Crop::Kitti, (1216, 352), (43, 117, 1172, 321));
        check(Crop::Kitti, (1242, 375), (44, 124, 1197, 342));
    }

    #[test]
    fn the_ends_are_outside() {
        let window = Crop::Nyu.window(640, 480);
        assert!(window.contains(41, 45) && window.contains(600, 470));
        for (x, y) in [(40, 45), (41, 44), (601, 470), (600, 471)] {
            assert!(!window.contains(x, y), "{x} {y}");
        }
    }
}
