//! The flat colours of a drawing, and the areas that they cover.

use image::RgbImage;

/// A colour is flat paint if at least this share of the image has it.
const MIN_COLOR_SHARE: f64 = 0.004;
/// Colours nearer than this (Euclidean, 8-bit RGB) are one paint, blurred by decoding.
const SAME_PAINT: i32 = 48;

/// This share of the image's pixels, at least 1.
pub(super) fn least_pixels(color: &RgbImage, share: f64) -> u64 {
    let n_pixels = u64::from(color.width()) * u64::from(color.height());
    ((n_pixels as f64 * share).ceil() as u64).max(1)
}

/// The colours that cover enough of the image, the commonest first.
pub(super) fn paints_of(color: &RgbImage) -> Vec<[u8; 3]> {
    // Count in cells of 16 levels a channel, keeping sums so that a paint is the mean of its cell.
    let mut cells = vec![(0u64, [0u64; 3]); 16 * 16 * 16];
    for pixel in color.pixels() {
        let [r, g, b] = pixel.0.map(usize::from);
        let (n, sums) = &mut cells[(r >> 4) << 8 | (g >> 4) << 4 | b >> 4];
        *n += 1;
        for (sum, value) in sums.iter_mut().zip([r, g, b]) {
            *sum += value as u64;
        }
    }
    cells.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let min_pixels = least_pixels(color, MIN_COLOR_SHARE);
    let mut paints: Vec<[u8; 3]> = Vec::new();
    for (n, sums) in cells {
        if n < min_pixels {
            break;
        }
        let paint = sums.map(|sum| (sum / n) as u8);
        if nearest(&paints, paint).is_none() {
            paints.push(paint);
        }
    }
    paints
}

/// The paint that a colour is a shade of, if any.
pub(super) fn nearest(paints: &[[u8; 3]], color: [u8; 3]) -> Option<usize> {
    let i = nearest_paint(paints, color);
    (distance(paints.get(i)?, color) < SAME_PAINT * SAME_PAINT).then_some(i)
}

/// The place of the paint at the least Euclidean distance (8-bit RGB); of equals the first, 0 of none.
pub fn nearest_paint(paints: &[[u8; 3]], color: [u8; 3]) -> usize {
    let places = 0..paints.len();
    places
        .min_by_key(|i| distance(&paints[*i], color))
        .unwrap_or_default()
}

/// The square of the Euclidean distance.
fn distance(paint: &[u8; 3], color: [u8; 3]) -> i32 {
    let difference = |(a, b): (&u8, u8)| (i32::from(*a) - i32::from(b)).pow(2);
    paint.iter().zip(color).map(difference).sum()
}

/// Areas of one paint, joined over edges; each with its pixels in the order of discovery, the first one topmost.
pub(super) fn connected(painted: &[Option<usize>], width: usize) -> Vec<(usize, Vec<usize>)> {
    let mut seen = vec![false; painted.len()];
    let mut areas = Vec::new();
    for start in 0..painted.len() {
        let Some(paint) = painted[start] else {
            continue;
        };
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut pixels = vec![start];
        let mut next = 0;
        while let Some(&pixel) = pixels.get(next) {
            next += 1;
            let x = pixel % width;
            let neighbors = [
                (x > 0).then(|| pixel - 1),
                (x + 1 < width).then(|| pixel + 1),
                pixel.checked_sub(width),
                Some(pixel + width).filter(|p| *p < painted.len()),
            ];
            for neighbor in neighbors.into_iter().flatten() {
                if !seen[neighbor] && painted[neighbor] == Some(paint) {
                    seen[neighbor] = true;
                    pixels.push(neighbor);
                }
            }
        }
        areas.push((paint, pixels));
    }
    areas
}

/// Those of some paints that are the nearest one to enough pixels: the seam between two colours passes through others. All of
/// them where none has enough.
pub(super) fn drawn_of(paints: &[[u8; 3]], color: &RgbImage) -> Vec<[u8; 3]> {
    let mut n_pixels = vec![0u64; paints.len()];
    for pixel in color.pixels() {
        n_pixels[nearest_paint(paints, pixel.0)] += 1;
    }
    let least = least_pixels(color, MIN_COLOR_SHARE);
    let drawn = paints.iter().zip(n_pixels).filter(|(_, n)| *n >= least);
    let drawn: Vec<[u8; 3]> = drawn.map(|(paint, _)| *paint).collect();
    if drawn.is_empty() {
        return paints.to_vec();
    }
    drawn
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn many_paints_none_of_which_has_enough_are_all_drawn() {
        // 255 greys, each a 255th of the image.
        let paints: Vec<[u8; 3]> = (0..255).map(|grey| [grey; 3]).collect();
        let color = RgbImage::from_fn(255, 4, |x, _| Rgb([x as u8; 3]));
        assert_eq!(drawn_of(&paints, &color), paints);
        let plain = RgbImage::from_pixel(255, 4, Rgb([7; 3]));
        assert_eq!(drawn_of(&paints, &plain), [[7; 3]]);
    }
}
