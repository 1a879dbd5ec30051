//! What a camera makes of light: exposure, white balance, blur, noise, a tone curve, JPEG.

use std::io::Cursor;

use glam::Vec3A;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

use super::super::config::FurnishedConfig;
use super::super::dice::Dice;
use super::super::hash::mix;

/// Steps of the tone curve for light of 0 to [`BRIGHTEST`].
const TONE_STEPS: usize = 4096;
/// More light is white.
const BRIGHTEST: f32 = 1.6;

const LUMINANCE: Vec3A = Vec3A::new(0.2126, 0.7152, 0.0722);

/// How one image is taken.
struct Sensor {
    /// Standard deviation in pixels.
    blur: f32,
    /// How much darker the corners are, in [0, 1].
    vignetting: f32,
    /// Variance of noise: a constant, and by light.
    noise: [f32; 2],
    contrast: f32,
    saturation: f32,
    /// None: not compressed.
    jpeg_quality: Option<u8>,
}

/// The image of a linear one.
pub(super) fn develop(
    config: &FurnishedConfig,
    mut light: Vec<Vec3A>,
    dice: &mut Dice,
) -> RgbImage {
    let [width, height] = [config.width, config.height];
    let sensor = Sensor::random(config, dice);
    let gain = exposure(&light, dice) * white_balance(&light, dice);
    for pixel in &mut light {
        *pixel = (*pixel * gain).min(Vec3A::splat(BRIGHTEST));
    }
    blur(&mut light, width as usize, sensor.blur);
    let seed = dice.seed();
    let tones = sensor.tones();
    let middle = [width as f32 / 2.0, height as f32 / 2.0];
    let mut bytes = Vec::with_capacity(3 * light.len());
    for (i, pixel) in light.iter().enumerate() {
        let (x, y) = ((i as u32 % width) as f32, (i as u32 / width) as f32);
        let radius = ((x / middle[0] - 1.0).powi(2) + (y / middle[1] - 1.0).powi(2)) / 2.0;
        let pixel = *pixel * (1.0 - sensor.vignetting * radius);
        bytes.extend(sensor.pixel(pixel, mix(seed ^ i as u32), &tones));
    }
    let image = RgbImage::from_raw(width, height, bytes).unwrap_or_default();
    match sensor.jpeg_quality {
        Some(quality) => compressed(&image, quality).unwrap_or(image),
        None => image,
    }
}

impl Sensor {
    fn random(config: &FurnishedConfig, dice: &mut Dice) -> Self {
        let strength = config.sensor as f32;
        // Blur is of the lens: its extent grows with the image.
        let blur = dice.between(0.15, 0.65) * config.width as f32 / 256.0;
        let noise = dice.unit() * dice.unit();
        Self {
            blur: blur * strength.min(1.5),
            vignetting: (0.3 * strength * dice.unit()).min(0.6),
            noise: [2e-5, 1.2e-3].map(|variance| variance * (0.05 + noise) * strength * strength),
            contrast: dice.between(-0.2, 0.45),
            saturation: dice.between(0.75, 1.2),
            jpeg_quality: (strength > 0.0 && dice.chance(0.6))
                .then(|| dice.between(60.0, 96.0) as u8),
        }
    }

    /// A pixel's bytes; `random` makes its noise.
    fn pixel(&self, light: Vec3A, random: u32, tones: &[u8]) -> [u8; 3] {
        let grey = light.dot(LUMINANCE);
        let light = (grey + (light - grey) * self.saturation).max(Vec3A::ZERO);
        let mut random = random;
        light.to_array().map(|value| {
            random = mix(random.wrapping_add(0x9e37_79b9));
            // Four bytes add up to nearly a normal distribution.
            let sum: u32 = random
                .to_le_bytes()
                .iter()
                .map(|&byte| u32::from(byte))
                .sum();
            let normal = (sum as f32 - 510.0) / 147.8;
            let noise = (self.noise[0] + self.noise[1] * value).sqrt() * normal;
            let step = (value + noise) * ((TONE_STEPS - 1) as f32 / BRIGHTEST);
            // Saturating; below 0 is black.
            tones[(step as usize).min(TONE_STEPS - 1)]
        })
    }

    /// The bytes of light from 0 to [`BRIGHTEST`].
    fn tones(&self) -> Vec<u8> {
        let light = |step: usize| BRIGHTEST * step as f32 / (TONE_STEPS - 1) as f32;
        let byte = |step: usize| (self.tone(light(step)) * 255.0).round() as u8;
        (0..TONE_STEPS).map(byte).collect()
    }

    /// sRGB with a soft shoulder and a little more or less contrast.
    fn tone(&self, value: f32) -> f32 {
        let value = value.max(0.0);
        let value = if value > 0.8 {
            0.8 + 0.2 * (1.0 - (-(value - 0.8) / 0.2).exp())
        } else {
            value
        };
        let coded = if value <= 0.003_130_8 {
            12.92 * value
        } else {
            1.055 * value.powf(1.0 / 2.4) - 0.055
        };
        let curved = coded * coded * (3.0 - 2.0 * coded);
        (coded + self.contrast * (curved - coded)).clamp(0.0, 1.0)
    }
}

/// The gain that makes the image neither dark nor bright, give or take.
fn exposure(light: &[Vec3A], dice: &mut Dice) -> f32 {
    let logs = light
        .iter()
        .step_by(3)
        .map(|pixel| pixel.dot(LUMINANCE).max(1e-4).ln());
    let n = light.len().div_ceil(3).max(1) as f32;
    let mean = (logs.sum::<f32>() / n).exp();
    let wanted = 0.19 * (0.35 * dice.normal()).clamp(-0.8, 0.7).exp();
    wanted / mean
}

/// Gains that take out a part of the light's colour.
fn white_balance(light: &[Vec3A], dice: &mut Dice) -> Vec3A {
    let sum: Vec3A = light
        .iter()
        .step_by(7)
        .map(|pixel| pixel.min(Vec3A::splat(2.0)))
        .sum();
    let grey = sum.dot(Vec3A::splat(1.0 / 3.0)).max(1e-6);
    let neutral = Vec3A::splat(grey) / sum.max(Vec3A::splat(1e-6));
    let share = dice.between(0.3, 0.85);
    let gains = neutral
        .clamp(Vec3A::splat(0.5), Vec3A::splat(2.5))
        .powf(share);
    let taste = Vec3A::new(1.0 + 0.05 * dice.normal(), 1.0, 1.0 + 0.05 * dice.normal());
    gains * taste
}

/// A Gaussian of five pixels along rows, then along columns.
fn blur(light: &mut Vec<Vec3A>, width: usize, sigma: f32) {
    if sigma < 0.2 {
        return;
    }
    let reach = ((2.0 * sigma).ceil() as usize).max(1);
    let kernel: Vec<f32> = (0..=reach)
        .map(|i| (-((i * i) as f32) / (2.0 * sigma * sigma)).exp())
        .collect();
    let sum = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
    let height = light.len() / width;
    for [stride, length] in [[1, width], [width, height]] {
        let mut out = Vec::with_capacity(light.len());
        for i in 0..light.len() {
            let at = i / stride % length;
            let mut mean = light[i] * kernel[0];
            for (k, weight) in kernel.iter().enumerate().skip(1) {
                let before = i - stride * k.min(at);
                let after = i + stride * k.min(length - 1 - at);
                mean += (light[before] + light[after]) * *weight;
            }
            out.push(mean / sum);
        }
        *light = out;
    }
}

fn compressed(image: &RgbImage, quality: u8) -> Option<RgbImage> {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).ok()?;
    let read = image::load_from_memory_with_format(bytes.get_ref(), ImageFormat::Jpeg);
    Some(read.ok()?.to_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_goes_up_and_stays_in_range() {
        let sensor = Sensor {
            blur: 0.0,
            vignetting: 0.0,
            noise: [0.0; 2],
            contrast: 0.45,
            saturation: 1.0,
            jpeg_quality: None,
        };
        let tones: Vec<f32> = (0..100).map(|i| sensor.tone(i as f32 / 50.0)).collect();
        assert!(tones.is_sorted() && tones[0] == 0.0 && tones[99] <= 1.0);
    }
}
