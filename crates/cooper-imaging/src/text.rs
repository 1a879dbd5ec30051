//! Words in images: names of regions.

use font8x8::legacy::BASIC_LEGACY;
use image::{Rgb, RgbImage};

/// Rows and columns of a letter.
const SIDE: i64 = 8;
const INK: Rgb<u8> = Rgb([255; 3]);
const OUTLINE: Rgb<u8> = Rgb([0; 3]);

/// Write a text around a pixel, white in black, letters of `8 * scale` pixels; moved where it would reach over a side, cut where
/// it is wider than the image. Letters outside of ASCII are question marks.
pub fn write_text(image: &mut RgbImage, text: &str, (x, y): (u32, u32), scale: u32) {
    let scale = i64::from(scale.max(1));
    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    let letters: Vec<[u8; 8]> = text.chars().map(letter).collect();
    let length = letters.len() as i64 * SIDE * scale;
    let place = |at: u32, extent: i64, all: i64| {
        // The outline is one pixel wide.
        (i64::from(at) - extent / 2).min(all - extent - 1).max(1)
    };
    let (left, top) = (place(x, length, width), place(y, SIDE * scale, height));
    let is_ink = |x: i64, y: i64| {
        let (column, row) = (x.div_euclid(scale), y.div_euclid(scale));
        let glyph = usize::try_from(column.div_euclid(SIDE)).ok();
        let glyph = glyph.and_then(|i| letters.get(i));
        let inside = (0..SIDE).contains(&row);
        glyph.is_some_and(|rows| inside && rows[row as usize] >> column.rem_euclid(SIDE) & 1 == 1)
    };
    for y in -1..=SIDE * scale {
        for x in -1..=length {
            let color = if is_ink(x, y) {
                INK
            } else if (-1..=1).any(|dy| (-1..=1).any(|dx| is_ink(x + dx, y + dy))) {
                OUTLINE
            } else {
                continue;
            };
            let at = (u32::try_from(left + x), u32::try_from(top + y));
            if let (Ok(x), Ok(y)) = at
                && let Some(pixel) = image.get_pixel_mut_checked(x, y)
            {
                *pixel = color;
            }
        }
    }
}

/// Rows from top to bottom, the leftmost pixel in the lowest bit.
fn letter(letter: char) -> [u8; 8] {
    let glyph = |letter: char| BASIC_LEGACY.get(letter as usize).copied();
    glyph(letter).or_else(|| glyph('?')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, at: (u32, u32), scale: u32) -> (usize, [u32; 4]) {
        let mut image = RgbImage::from_pixel(64, 24, Rgb([9; 3]));
        write_text(&mut image, text, at, scale);
        let ink: Vec<(u32, u32)> = (image.enumerate_pixels())
            .filter(|(.., color)| **color == INK)
            .map(|(x, y, _)| (x, y))
            .collect();
        let bounds = [
            ink.iter().map(|(x, _)| *x).min(),
            ink.iter().map(|(_, y)| *y).min(),
            ink.iter().map(|(x, _)| *x).max(),
            ink.iter().map(|(_, y)| *y).max(),
        ];
        (ink.len(), bounds.map(Option::unwrap_or_default))
    }

    #[test]
    fn a_text_lies_around_its_pixel_and_inside_of_the_image() {
        let (small, [left, top, right, bottom]) = written("bed", (32, 12), 1);
        assert!(
            left >= 20 && right <= 44 && top >= 8 && bottom <= 16,
            "{left} {top} {right} {bottom}"
        );
        let (large, _) = written("bed", (32, 12), 2);
        assert_eq!(large, 4 * small);
        for at in [(0, 0), (63, 23)] {
            assert_eq!(written("bed", at, 1).0, small);
        }
        // Wider than the image: as much as there is room for.
        assert!(written("refrigerator", (32, 12), 1).0 > small);
        assert_eq!(written("\u{e9}", (32, 12), 1), written("?", (32, 12), 1));
        assert_eq!(written("", (32, 12), 1).0, 0);
    }
}
