//! Organised point clouds and millimetres: metric depth as the bytes of ROS messages.

use cooper_imaging::{Error, Result};
use image::RgbImage;

use super::intrinsics::Intrinsics;

/// What `data` of a `sensor_msgs/PointCloud2` holds: one point a pixel, row by row, in the camera's optical frame.
///
/// Little-endian, not dense: a pixel without depth has NaN for x, y and z, and keeps its colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Points of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// [`Cloud::POINT_STEP`] bytes a point.
    pub data: Vec<u8>,
}

impl Cloud {
    /// Bytes of a point.
    pub const POINT_STEP: u32 = 16;
    /// Names and offsets of the fields, all of type FLOAT32 and count 1. `rgb` is 0x00RRGGBB in a float's bits, as
    /// PCL and RViz read it.
    pub const FIELDS: [(&'static str, u32); 4] = [("x", 0), ("y", 4), ("z", 8), ("rgb", 12)];

    /// The cloud of a depth map in metres, NaN for none, that has the size of `image` and `intrinsics`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the sizes differ.
    pub fn new(metres: &[f32], image: &RgbImage, intrinsics: &Intrinsics) -> Result<Self> {
        let (width, height) = image.dimensions();
        let size = (intrinsics.width, intrinsics.height);
        if size != (width, height) {
            let why = format!("expected one for {width} x {height}, got {size:?}");
            return Err(Error::invalid("camera_info", why));
        }
        let n_pixels = width as usize * height as usize;
        if metres.len() != n_pixels {
            let why = format!("expected {n_pixels} values, got {}", metres.len());
            return Err(Error::invalid("metric depth", why));
        }
        let mut data = Vec::with_capacity(n_pixels * Self::POINT_STEP as usize);
        for (z, (column, row, color)) in metres.iter().zip(image.enumerate_pixels()) {
            let ray = intrinsics.ray(f64::from(column), f64::from(row));
            let z = if z.is_finite() && *z > 0.0 && ray.x.is_finite() {
                *z
            } else {
                f32::NAN
            };
            let point = ray * f64::from(z);
            for coordinate in [point.x as f32, point.y as f32, z] {
                data.extend(coordinate.to_le_bytes());
            }
            let [r, g, b] = color.0;
            data.extend([b, g, r, 0]);
        }
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Bytes of a row.
    pub fn row_step(&self) -> u32 {
        self.width.saturating_mul(Self::POINT_STEP)
    }
}

/// Metres as `16UC1`: whole millimetres, 0 where there is no depth or it does not fit (above 65.535 m).
pub fn millimetres(metres: &[f32]) -> Vec<u16> {
    let convert = |m: &f32| {
        let rounded = (f64::from(*m) * 1000.0).round();
        // A cast would saturate: 65.535 m for everything behind it.
        if (1.0..=f64::from(u16::MAX)).contains(&rounded) {
            rounded as u16
        } else {
            0
        }
    };
    metres.iter().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use nalgebra::Point3;

    use super::*;

    fn camera(width: u32, height: u32) -> Intrinsics {
        let k = [50.0, 0.0, 31.2, 0.0, 52.0, 23.9, 0.0, 0.0, 1.0];
        Intrinsics::from_k(&k, width, height).unwrap()
    }

    /// The floats of each point.
    fn points(cloud: &Cloud) -> Vec<[f32; 4]> {
        let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let point = |p: &[u8]| std::array::from_fn(|i| float(&p[4 * i..]));
        cloud.data.chunks_exact(16).map(point).collect()
    }

    #[test]
    fn points_are_seen_at_their_pixels() {
        let camera = camera(64, 48);
        let metres: Vec<f32> = (0..64 * 48)
            .map(|i| 0.3 + (i * 7 % 100) as f32 * 0.4)
            .collect();
        let image = RgbImage::from_fn(64, 48, |x, y| Rgb([x as u8, y as u8, 7]));
        let cloud = Cloud::new(&metres, &image, &camera).unwrap();
        assert_eq!(
            (cloud.row_step(), cloud.data.len()),
            (64 * 16, 64 * 48 * 16)
        );
        for (i, [x, y, z, rgb]) in points(&cloud).into_iter().enumerate() {
            let point = Point3::new(x, y, z).cast::<f64>();
            let pixel = camera.project(&point).unwrap();
            let (column, row) = ((i % 64) as f64, (i / 64) as f64);
            assert!(
                (pixel.x - column).hypot(pixel.y - row) < 1e-3,
                "{i}: {pixel}"
            );
            assert_eq!(rgb.to_bits(), ((i % 64) << 16 | (i / 64) << 8 | 7) as u32);
        }
    }

    #[test]
    fn no_depth_is_no_point_but_a_color() {
        let image = RgbImage::from_pixel(5, 1, Rgb([1, 2, 3]));
        let metres = [f32::NAN, f32::INFINITY, 0.0, -1.0, 2.0];
        let cloud = Cloud::new(&metres, &image, &camera(5, 1)).unwrap();
        for (i, [x, y, z, rgb]) in points(&cloud).into_iter().enumerate() {
            let is_none = i < 4;
            assert!([x, y, z].iter().all(|v| v.is_nan() == is_none), "{i}");
            assert_eq!(rgb.to_bits(), 0x0001_0203);
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        let image = RgbImage::new(4, 2);
        let words =
            |metres: &[f32], camera| Cloud::new(metres, &image, &camera).unwrap_err().to_string();
        assert!(words(&[1.0; 7], camera(4, 2)).contains("expected 8 values, got 7"));
        assert!(words(&[1.0; 8], camera(2, 4)).contains("4 x 2, got (2, 4)"));
    }

    #[test]
    fn millimetres_are_rounded_and_never_cut_off() {
        let metres = [1.0, 1.2345, 0.0004, 0.0006, 65.535, 65.5354, 65.536, 1e9];
        assert_eq!(millimetres(&metres), [1000, 1235, 0, 1, 65535, 65535, 0, 0]);
        assert_eq!(
            millimetres(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, -0.0]),
            [0; 5]
        );
        assert!(millimetres(&[]).is_empty());
    }
}
