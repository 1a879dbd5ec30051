//! How images are varied, so that a few hundred stand for many rooms and cameras.

use std::io::Cursor;

use cooper_model::{Error, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};
use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::DenseImage;
use super::warp::Warp;

/// How images are varied; the defaults change nothing.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Bounds of the magnification; the window is 1 / magnification of the image, 1 to 8.
    pub zoom: [f32; 2],
    /// The logarithm of the largest change of the sides' ratio, 0 to 1.
    pub stretch: f32,
    /// The largest turn to either side, degrees, 0 to 45.
    pub rotation_deg: f32,
    /// Mirror half of the images, left to right.
    pub flip: bool,
    /// Strength of changes of exposure, contrast, saturation and white balance: 0 none, 1 strong.
    pub color: f32,
    /// Strength of blur, noise and compression: 0 none, 1 strong.
    pub sensor: f32,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            zoom: [1.0, 1.0],
            stretch: 0.0,
            rotation_deg: 0.0,
            flip: false,
            color: 0.0,
            sensor: 0.0,
        }
    }
}

impl Augmentation {
    /// # Errors
    /// [`Error::InvalidInput`] with the first value out of range.
    pub fn check(&self) -> Result<()> {
        let [low, high] = self.zoom;
        if !(1.0 <= low && low <= high && high <= 8.0) {
            let why = format!("expected 1 <= low <= high <= 8, got [{low}, {high}]");
            return Err(Error::invalid("augment: zoom", why));
        }
        for (key, value, most) in [
            ("stretch", self.stretch, 1.0),
            ("rotation_deg", self.rotation_deg, 45.0),
            ("color", self.color, 1.0),
            ("sensor", self.sensor, 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                let why = format!("expected 0 to {most}, got {value}");
                return Err(Error::invalid(format!("augment: {key}"), why));
            }
        }
        Ok(())
    }

    /// A variation of the image at another size, width and height in pixels.
    ///
    /// # Errors
    /// [`Error::Internal`] if the image cannot be compressed.
    pub fn vary(&self, image: &DenseImage, size: [u32; 2], rng: &mut StdRng) -> Result<DenseImage> {
        let from = image.rgb.dimensions().into();
        let mut new = self.warp(from, size, rng).apply(image);
        if self.color > 0.0 {
            vary_color(&mut new.rgb, self.color, rng);
        }
        if self.sensor > 0.0 {
            new.rgb = vary_sensor(new.rgb, self.sensor, rng)?;
        }
        Ok(new)
    }

    /// A random window, turned and mirrored.
    fn warp(&self, from: [u32; 2], size: [u32; 2], rng: &mut StdRng) -> Warp {
        let [low, high] = self.zoom;
        let share = 1.0 / rng.random_range(low..=high);
        let stretch = rng.random_range(-self.stretch..=self.stretch).exp().sqrt();
        let place = [rng.random::<f32>(), rng.random::<f32>()];
        let window = Warp::window(from, size, [share * stretch, share / stretch], place);
        let angle = rng.random_range(-self.rotation_deg..=self.rotation_deg);
        window.turned(angle.to_radians(), self.flip && rng.random_bool(0.5))
    }
}

fn vary_color(image: &mut RgbImage, strength: f32, rng: &mut StdRng) {
    let mut around_1 = |spread: f32| (rng.random_range(-spread..=spread) * strength).exp();
    let exposure = around_1(0.5);
    let gamma = around_1(0.35);
    let contrast = around_1(0.3);
    let saturation = around_1(0.5);
    let balance = [around_1(0.15), around_1(0.08), around_1(0.15)];
    let middle = {
        let sum: f64 = image.as_raw().iter().map(|v| f64::from(*v)).sum();
        (sum / image.as_raw().len().max(1) as f64) as f32 / 255.0
    };
    for Rgb(pixel) in image.pixels_mut() {
        let color = [0, 1, 2].map(|c| {
            let light = f32::from(pixel[c]) / 255.0;
            let light = middle + (light - middle) * contrast;
            light.max(0.0).powf(gamma) * exposure * balance[c]
        });
        let grey = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2];
        *pixel = color.map(|light| {
            let light = grey + (light - grey) * saturation;
            (light.clamp(0.0, 1.0) * 255.0).round() as u8
        });
    }
}

/// Blur, then noise, then compression, each in some images only.
fn vary_sensor(mut image: RgbImage, strength: f32, rng: &mut StdRng) -> Result<RgbImage> {
    if rng.random_bool(0.4) {
        let sigma = 0.2 + rng.random::<f32>() * 1.2 * strength;
        image = imageops::fast_blur(&image, sigma);
    }
    if rng.random_bool(0.5) {
        let deviation = rng.random::<f32>() * 12.0 * strength;
        // Fails only for deviations that are no numbers.
        if let Ok(noise) = Normal::new(0.0, deviation) {
            for value in image.iter_mut() {
                *value = (f32::from(*value) + noise.sample(rng)).clamp(0.0, 255.0) as u8;
            }
        }
    }
    if rng.random_bool(0.4) {
        let quality = (95.0 - 65.0 * strength * rng.random::<f32>()) as u8;
        image = compressed(&image, quality)?;
    }
    Ok(image)
}

fn compressed(image: &RgbImage, quality: u8) -> Result<RgbImage> {
    let failed = |why: image::ImageError| Error::Internal(format!("JPEG of an image: {why}"));
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .map_err(failed)?;
    let image = image::load_from_memory_with_format(bytes.get_ref(), ImageFormat::Jpeg);
    image.map(DynamicImage::into_rgb8).map_err(failed)
}

#[cfg(test)]
mod tests {
    use cooper_scenes::UNLABELLED;
    use rand::SeedableRng;

    use super::super::image::DepthUnit;
    use super::*;

    fn grey(width: u32, height: u32) -> DenseImage {
        let n = (width * height) as usize;
        DenseImage {
            rgb: RgbImage::from_pixel(width, height, Rgb([120, 130, 140])),
            depth: vec![2.0; n],
            unit: DepthUnit::Metres,
            labels: vec![UNLABELLED; n],
            colors: None,
            focal: None,
        }
    }

    #[test]
    fn the_defaults_change_nothing_and_the_seed_decides() {
        let image = grey(32, 16);
        let vary = |settings: &Augmentation, seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            settings.vary(&image, [32, 16], &mut rng).unwrap().rgb
        };
        assert_eq!(vary(&Augmentation::default(), 1), image.rgb);
        let strong = Augmentation {
            color: 1.0,
            sensor: 1.0,
            ..Augmentation::default()
        };
        assert_eq!(vary(&strong, 1), vary(&strong, 1));
        assert_ne!(vary(&strong, 1), vary(&strong, 2));
    }

    #[test]
    fn half_of_the_images_are_mirrored_and_focal_lengths_follow() {
        let mut image = grey(64, 48);
        image.focal = Some([50.0, 50.0]);
        image.depth = (0..64 * 48).map(|i| 1.0 + (i % 64) as f32).collect();
        let settings = Augmentation {
            zoom: [2.0, 2.0],
            flip: true,
            ..Augmentation::default()
        };
        let mut rng = StdRng::seed_from_u64(1);
        let mut mirrored = 0;
        for _ in 0..40 {
            let new = settings.vary(&image, [64, 48], &mut rng).unwrap();
            assert_eq!(new.focal, Some([100.0, 100.0]));
            mirrored += u32::from(new.depth[0] > new.depth[63]);
        }
        assert!((10..=30).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (settings, part) in [
            (
                Augmentation {
                    zoom: [0.5, 1.0],
                    ..Augmentation::default()
                },
                "zoom",
            ),
            (
                Augmentation {
                    zoom: [2.0, 1.0],
                    ..Augmentation::default()
                },
                "zoom",
            ),
            (
                Augmentation {
                    stretch: -0.1,
                    ..Augmentation::default()
                },
                "stretch",
            ),
            (
                Augmentation {
                    rotation_deg: 90.0,
                    ..Augmentation::default()
                },
                "rotation_deg",
            ),
            (
                Augmentation {
                    color: f32::NAN,
                    ..Augmentation::default()
                },
                "color",
            ),
            (
                Augmentation {
                    sensor: 2.0,
                    ..Augmentation::default()
                },
                "sensor",
            ),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
