//! A camera's numbers, and rays through its pixels.
//!
//! On a topic of rectified images (`image_rect`) they are the left three columns of the message's `p`, without
//! distortion; on a raw topic they are `k` and `d`.

use cooper_imaging::{Error, Result};
use nalgebra::{Point2, Point3, Vector2, Vector3};

use super::distortion::Distortion;

/// Focal lengths and principal point of an image of one size, in pixels; a pixel's centre has whole coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    /// Focal length along rows.
    pub fx: f64,
    /// Focal length along columns.
    pub fy: f64,
    /// Column of the optical axis; the leftmost pixel's centre is 0.
    pub cx: f64,
    /// Row of the optical axis; the topmost pixel's centre is 0.
    pub cy: f64,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What the lens does, the same at every size.
    pub distortion: Distortion,
}

/// The part of the sensor that an image shows, in pixels of the full sensor. All 0 is the whole sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roi {
    /// Columns to the left of it.
    pub x_offset: u32,
    /// Rows above it.
    pub y_offset: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Intrinsics {
    /// Read `k` of a CameraInfo, row-major (fx 0 cx, 0 fy cy, 0 0 1), and the size that it was calibrated for.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that says what is wrong; a `k` of zeros means that the camera is not calibrated.
    pub fn from_k(k: &[f64; 9], width: u32, height: u32) -> Result<Self> {
        let [fx, skew, cx, below, fy, cy, ..] = *k;
        if k.iter().all(|v| *v == 0.0) {
            return refused("k is all 0: the camera is not calibrated");
        }
        if skew != 0.0 || below != 0.0 {
            return refused(format!(
                "expected k of the form fx 0 cx 0 fy cy 0 0 1, got {k:?}"
            ));
        }
        let read = Self {
            fx,
            fy,
            cx,
            cy,
            width,
            height,
            distortion: Distortion::None,
        };
        read.checked()
    }

    /// The same camera with this distortion.
    pub fn with_distortion(self, distortion: Distortion) -> Self {
        Self { distortion, ..self }
    }

    fn checked(self) -> Result<Self> {
        let Self { fx, fy, cx, cy, .. } = self;
        let (width, height) = (self.width, self.height);
        if ![fx, fy, cx, cy].iter().all(|v| v.is_finite()) {
            return refused(format!(
                "expected numbers, got fx {fx}, fy {fy}, cx {cx}, cy {cy}"
            ));
        }
        if fx <= 0.0 || fy <= 0.0 {
            return refused(format!(
                "expected focal lengths above 0, got fx {fx}, fy {fy}"
            ));
        }
        if width == 0 || height == 0 {
            return refused(format!("expected a size, got {width} x {height}"));
        }
        Ok(self)
    }

    /// The intrinsics of an image that shows a part of the sensor, with `binning` (columns, rows) averaged into one
    /// pixel; 0 is 1. As REP 104 defines CameraInfo's fields.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the part is not inside of the sensor or nothing is left of it.
    pub fn cropped(&self, roi: Roi, binning: [u32; 2]) -> Result<Self> {
        let whole = Roi {
            width: self.width,
            height: self.height,
            ..Roi::default()
        };
        let roi = if roi == Roi::default() { whole } else { roi };
        let fits = |offset: u32, extent: u32, all: u32| {
            u64::from(offset) + u64::from(extent) <= all.into()
        };
        if !fits(roi.x_offset, roi.width, self.width)
            || !fits(roi.y_offset, roi.height, self.height)
        {
            let (width, height) = (self.width, self.height);
            return refused(format!(
                "expected a part of {width} x {height} pixels, got {roi:?}"
            ));
        }
        let [columns, rows] = binning.map(|n| n.max(1));
        let (width, height) = (roi.width / columns, roi.height / rows);
        let part = Self {
            cx: self.cx - f64::from(roi.x_offset),
            cy: self.cy - f64::from(roi.y_offset),
            ..*self
        };
        // Columns that do not fill a bin are lost, so the scale is the bin's and not that of the sizes.
        part.scaled_by(
            1.0 / f64::from(columns),
            1.0 / f64::from(rows),
            width,
            height,
        )
    }

    /// The numbers of the same image at another size.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a side is 0.
    pub fn scaled_to(&self, width: u32, height: u32) -> Result<Self> {
        if (width, height) == (self.width, self.height) {
            return self.checked();
        }
        let x = f64::from(width) / f64::from(self.width);
        let y = f64::from(height) / f64::from(self.height);
        self.scaled_by(x, y, width, height)
    }

    /// Lengths scale about the image's corner, and that is half a pixel before the first pixel's centre.
    /// Tools that multiply `cx` alone (`image_proc`) are up to half a pixel off.
    fn scaled_by(&self, x: f64, y: f64, width: u32, height: u32) -> Result<Self> {
        let scaled = Self {
            fx: self.fx * x,
            fy: self.fy * y,
            cx: (self.cx + 0.5) * x - 0.5,
            cy: (self.cy + 0.5) * y - 0.5,
            width,
            height,
            distortion: self.distortion,
        };
        scaled.checked()
    }

    /// The numbers as `k` of a CameraInfo.
    pub fn k(&self) -> [f64; 9] {
        [self.fx, 0.0, self.cx, 0.0, self.fy, self.cy, 0.0, 0.0, 1.0]
    }

    /// The way from the camera through a pixel coordinate, in the optical frame: one metre along z; NaN where the
    /// distortion has no inverse.
    pub fn ray(&self, column: f64, row: f64) -> Vector3<f64> {
        let shown = Vector2::new((column - self.cx) / self.fx, (row - self.cy) / self.fy);
        match self.distortion.undistort(&shown) {
            Some(ideal) => ideal.push(1.0),
            None => Vector3::from_element(f64::NAN),
        }
    }

    /// The pixel coordinate (column, row) of a point in the optical frame; none unless it is in front of the camera.
    pub fn project(&self, point: &Point3<f64>) -> Option<Point2<f64>> {
        let Point3 { coords: p } = point;
        let pixel = || {
            let shown = self.distortion.distort(&(p.xy() / p.z));
            Point2::new(self.cx + self.fx * shown.x, self.cy + self.fy * shown.y)
        };
        (p.z > 0.0).then(pixel)
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::invalid("camera_info", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: [f64; 9] = [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0];

    fn camera() -> Intrinsics {
        Intrinsics::from_k(&K, 640, 480).unwrap()
    }

    #[test]
    fn a_ray_meets_its_pixel() {
        let camera = camera();
        assert_eq!(camera.k(), K);
        assert_eq!(camera.ray(319.5, 239.5), Vector3::z());
        let point = Point3::from(camera.ray(17.0, 400.0) * 2.5);
        let pixel = camera.project(&point).unwrap();
        assert!((pixel - Point2::new(17.0, 400.0)).norm() < 1e-9);
        assert_eq!(camera.project(&-point), None);
        assert_eq!(camera.project(&Point3::new(1.0, 1.0, f64::NAN)), None);
    }

    #[test]
    fn a_distorted_ray_meets_its_pixel_at_every_size() {
        let lens = Distortion::read("plumb_bob", &[-0.3, 0.1, 0.001, 0.002, 0.0]).unwrap();
        let camera = camera().with_distortion(lens);
        let half = camera.scaled_to(320, 240).unwrap();
        for (column, row) in [(0.0, 0.0), (639.0, 479.0), (100.0, 300.0)] {
            let ray = camera.ray(column, row);
            let pixel = camera.project(&Point3::from(ray * 3.0)).unwrap();
            assert!((pixel - Point2::new(column, row)).norm() < 1e-5, "{pixel}");
            let same = half.ray((column + 0.5) / 2.0 - 0.5, (row + 0.5) / 2.0 - 0.5);
            assert!((same - ray).norm() < 1e-8);
        }
        let straight = Vector2::new(-319.5 / 500.0, -239.5 / 510.0);
        assert!((camera.ray(0.0, 0.0).xy() - straight).norm() > 0.05);
    }

    #[test]
    fn the_middle_stays_the_middle_and_corners_stay_corners() {
        let camera = camera();
        let half = camera.scaled_to(320, 240).unwrap();
        assert_eq!(
            (half.cx, half.cy, half.fx, half.fy),
            (159.5, 119.5, 250.0, 255.0)
        );
        // The image's top left corner, half a pixel before the first centre.
        assert_eq!(half.ray(-0.5, -0.5), camera.ray(-0.5, -0.5));
        let wide = camera.scaled_to(1280, 480).unwrap();
        assert_eq!((wide.fx, wide.fy), (1000.0, 510.0));
        assert_eq!(camera.scaled_to(640, 480).unwrap(), camera);
        assert!(camera.scaled_to(0, 480).is_err());
    }

    #[test]
    fn parts_and_bins_show_the_same_rays() {
        let camera = camera();
        assert_eq!(camera.cropped(Roi::default(), [0, 0]).unwrap(), camera);
        let roi = Roi {
            x_offset: 100,
            y_offset: 50,
            width: 201,
            height: 100,
        };
        let part = camera.cropped(roi, [2, 1]).unwrap();
        assert_eq!((part.width, part.height), (100, 100));
        // Bin 3 holds the sensor's columns 106 and 107.
        let difference = part.ray(3.0, 7.0) - camera.ray(106.5, 57.0);
        assert!(difference.norm() < 1e-12, "{difference}");
        assert!(camera.cropped(roi, [1000, 1]).is_err());
        let beyond = Roi {
            x_offset: u32::MAX,
            ..roi
        };
        assert!(camera.cropped(beyond, [1, 1]).is_err());
    }

    #[test]
    fn wrong_numbers_are_refused() {
        let check = |at: usize, value: f64, expected: &str| {
            let mut k = K;
            k[at] = value;
            let words = Intrinsics::from_k(&k, 640, 480).unwrap_err().to_string();
            assert!(words.contains(expected), "{words}");
        };
        check(0, 0.0, "focal lengths above 0");
        check(4, -1.0, "focal lengths above 0");
        check(2, f64::NAN, "expected numbers");
        check(0, f64::INFINITY, "expected numbers");
        check(1, 0.5, "fx 0 cx");
        let words = |k, width| Intrinsics::from_k(k, width, 480).unwrap_err().to_string();
        assert!(words(&[0.0; 9], 640).contains("not calibrated"));
        assert!(words(&K, 0).contains("0 x 480"));
    }
}
