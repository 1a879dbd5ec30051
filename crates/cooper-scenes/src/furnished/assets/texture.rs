//! Images on surfaces, with smaller copies of themselves for far views.

use std::sync::LazyLock;

use glam::{Vec2, Vec3, Vec4};
use image::{DynamicImage, RgbaImage, imageops};

/// Larger images are reduced to this extent.
const LARGEST: u32 = 512;

static LINEAR: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|i| to_linear(i as f32 / 255.0)));

/// Linear light of an sRGB value, both in [0, 1].
pub(crate) fn to_linear(value: f32) -> f32 {
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// Linear light of an sRGB colour.
pub(crate) fn linear_color(color: [f32; 3]) -> Vec3 {
    Vec3::from(color.map(|c| to_linear(c.clamp(0.0, 1.0))))
}

/// An image that repeats in both directions.
#[derive(Debug)]
pub(crate) struct Texture {
    /// Each half as large as the one before.
    levels: Vec<RgbaImage>,
    has_holes: bool,
}

impl Texture {
    pub(crate) fn new(image: &DynamicImage) -> Self {
        let (width, height) = (image.width(), image.height());
        let image = if width.max(height) > LARGEST {
            image.resize(LARGEST, LARGEST, imageops::FilterType::Triangle)
        } else {
            image.clone()
        };
        let has_holes = image.color().has_alpha();
        let image = image.to_rgba8();
        let has_holes = has_holes && image.pixels().any(|pixel| pixel[3] < 128);
        let mut levels = vec![image];
        while let Some(last) = levels.last()
            && last.width().min(last.height()) > 1
        {
            levels.push(halved(last));
        }
        Self { levels, has_holes }
    }

    /// Whether light passes through a part of it.
    pub(crate) fn has_holes(&self) -> bool {
        self.has_holes
    }

    /// The larger extent in pixels.
    pub(crate) fn extent(&self) -> f32 {
        self.levels
            .first()
            .map_or(1.0, |image| image.width().max(image.height()) as f32)
    }

    /// Linear light in [0, 1] where a pixel covers `texels` of the full image. `uv` grows to the right and upwards.
    pub(crate) fn color(&self, uv: Vec2, texels: f32) -> Vec3 {
        let level = texels.max(1.0).log2().round() as usize;
        let level = level.min(self.levels.len().saturating_sub(1));
        let Some(image) = self.levels.get(level) else {
            return Vec3::splat(0.5);
        };
        let (width, height) = (image.width(), image.height());
        let x = (uv.x - uv.x.floor()) * width as f32 - 0.5;
        let y = (1.0 - (uv.y - uv.y.floor())) * height as f32 - 0.5;
        let (left, top) = (x.floor(), y.floor());
        let at = |dx: i32, dy: i32| {
            let column = (left as i32 + dx).rem_euclid(width as i32) as u32;
            let row = (top as i32 + dy).rem_euclid(height as i32) as u32;
            let [r, g, b, _] = image.get_pixel(column, row).0;
            Vec3::new(
                LINEAR[usize::from(r)],
                LINEAR[usize::from(g)],
                LINEAR[usize::from(b)],
            )
        };
        let upper = at(0, 0).lerp(at(1, 0), x - left);
        let lower = at(0, 1).lerp(at(1, 1), x - left);
        upper.lerp(lower, y - top)
    }

    /// Whether light passes through at a point.
    pub(crate) fn is_hole(&self, uv: Vec2) -> bool {
        let Some(image) = self.levels.first().filter(|_| self.has_holes) else {
            return false;
        };
        let column = (uv.x - uv.x.floor()) * image.width() as f32;
        let row = (1.0 - (uv.y - uv.y.floor())) * image.height() as f32;
        let column = (column as u32).min(image.width() - 1);
        let row = (row as u32).min(image.height() - 1);
        image.get_pixel(column, row)[3] < 128
    }
}

fn halved(image: &RgbaImage) -> RgbaImage {
    let (width, height) = ((image.width() / 2).max(1), (image.height() / 2).max(1));
    RgbaImage::from_fn(width, height, |x, y| {
        let mut sum = Vec4::ZERO;
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let column = (2 * x + dx).min(image.width() - 1);
            let row = (2 * y + dy).min(image.height() - 1);
            sum += Vec4::from(image.get_pixel(column, row).0.map(f32::from));
        }
        image::Rgba((sum / 4.0).to_array().map(|c| c.round() as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_down_and_far_views_are_the_mean() {
        let image = RgbaImage::from_fn(4, 4, |_, y| {
            let grey = if y < 2 { 255 } else { 0 };
            image::Rgba([grey, grey, grey, grey])
        });
        let texture = Texture::new(&image.into());
        assert!(texture.color(Vec2::new(0.5, 0.75), 1.0).x > 0.99);
        assert!(texture.color(Vec2::new(0.5, 0.25), 1.0).x < 0.01);
        assert!((texture.color(Vec2::new(0.5, 0.25), 64.0).x - to_linear(0.5)).abs() < 0.01);
        assert!(texture.is_hole(Vec2::new(0.5, 0.25)) && !texture.is_hole(Vec2::new(0.5, 0.75)));
    }
}
