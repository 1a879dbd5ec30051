//! Bayer images: a pixel has measured one colour, the other two come from its neighbours, bilinearly.

use std::slice::ChunksExactMut;

use super::pixel::Rgb;

/// The colours of a cell of 2x2 pixels: its upper row, then its lower one.
///
/// Means are rounded as in OpenCV's bilinear method, half up. At the border OpenCV repeats the pixels one further in;
/// here the image is mirrored at its outermost pixels, which keeps the colours in order and their values in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BayerOrder {
    /// Red, green; green, blue.
    Rggb,
    /// Blue, green; green, red.
    Bggr,
    /// Green, blue; red, green.
    Gbrg,
    /// Green, red; blue, green.
    Grbg,
}

/// What a pixel has measured.
#[derive(Clone, Copy)]
enum Site {
    Red,
    /// Green, with red on its left and right.
    GreenInRedRow,
    /// Green, with blue on its left and right.
    GreenInBlueRow,
    Blue,
}

impl BayerOrder {
    fn site(self, x: usize, y: usize) -> Site {
        let (red_x, red_y) = match self {
            Self::Rggb => (0, 0),
            Self::Grbg => (1, 0),
            Self::Gbrg => (0, 1),
            Self::Bggr => (1, 1),
        };
        match (x % 2 == red_x, y % 2 == red_y) {
            (true, true) => Site::Red,
            (false, true) => Site::GreenInRedRow,
            (true, false) => Site::GreenInBlueRow,
            (false, false) => Site::Blue,
        }
    }
}

/// Fill in the missing colours. `read` takes a value's bytes, `narrow` makes a mean 8 bits: last, to round but once.
pub(super) fn demosaic<const N: usize>(
    rows: &[&[u8]],
    output: ChunksExactMut<'_, Rgb>,
    order: BayerOrder,
    read: impl Fn([u8; N]) -> u16,
    narrow: impl Fn(u16) -> u8,
) {
    let mut lines = mirrored(rows).into_iter().map(|row| {
        let values = row.as_chunks::<N>().0.iter().map(|bytes| read(*bytes));
        mirrored(&values.collect::<Vec<_>>())
    });
    let (Some(mut above), Some(mut here)) = (lines.next(), lines.next()) else {
        return;
    };
    for (y, (below, output)) in lines.zip(output).enumerate() {
        let rows = above.windows(3).zip(here.windows(3)).zip(below.windows(3));
        for (x, (((above, here), below), rgb)) in rows.zip(output).enumerate() {
            *rgb = interpolate([above, here, below], order.site(x, y)).map(&narrow);
        }
        (above, here) = (here, below);
    }
}

/// The second item, all items, the last but one: what a mirror on the middle of each end shows.
fn mirrored<T: Copy>(items: &[T]) -> Vec<T> {
    let (before, after) = (items.get(1), items.iter().nth_back(1));
    before
        .into_iter()
        .chain(items)
        .chain(after)
        .copied()
        .collect()
}

/// Red, green and blue in the middle of 3x3 values.
fn interpolate(values: [&[u16]; 3], site: Site) -> [u16; 3] {
    let [&[nw, n, ne], &[w, here, e], &[sw, s, se]] = values else {
        return [0; 3]; // Rows of three are all that it is called with.
    };
    match site {
        Site::Red => [here, mean([n, w, e, s]), mean([nw, ne, sw, se])],
        Site::GreenInRedRow => [mean([w, e]), here, mean([n, s])],
        Site::GreenInBlueRow => [mean([n, s]), here, mean([w, e])],
        Site::Blue => [mean([nw, ne, sw, se]), mean([n, w, e, s]), here],
    }
}

/// Rounded, a half upwards.
fn mean<const N: usize>(values: [u16; N]) -> u16 {
    let sum: usize = values.into_iter().map(usize::from).sum();
    ((sum + N / 2) / N) as u16
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::RawImage;

    /// Values in rows of `width` as a message's pixels: with two bytes more a row, and in 8 or 16 bits as the name says.
    fn rgb(encoding: &str, width: usize, values: &[u16], is_bigendian: bool) -> Vec<u8> {
        let n_bytes = if encoding.ends_with("16") { 2 } else { 1 };
        let mut data = Vec::new();
        for row in values.chunks(width) {
            for value in row {
                match (n_bytes, is_bigendian) {
                    (1, _) => data.push(*value as u8),
                    (_, true) => data.extend(value.to_be_bytes()),
                    (_, false) => data.extend(value.to_le_bytes()),
                }
            }
            data.extend([199, 99]);
        }
        let image = RawImage {
            width: width as u32,
            height: (values.len() / width) as u32,
            step: (width * n_bytes + 2) as u32,
            encoding,
            is_bigendian,
            data: &data,
        };
        image.to_rgb().unwrap().into_raw()
    }

    #[test]
    fn nine_pixels_by_hand() {
        let values = [
            10, 21, 30, // R G R
            41, 50, 62, // G B G
            70, 84, 91, // R G R
        ];
        #[rustfmt::skip]
        let expected = [
            10, 31, 50, // green: (2·21 + 2·41) / 4; blue: four times the only one
            20, 21, 50, // red: (10 + 30) / 2
            30, 42, 50, // green: (2·21 + 2·62) / 4 = 41.5
            40, 41, 50, // red: (10 + 70) / 2
            50, 52, 50, // red: (10 + 30 + 70 + 91) / 4 = 50.25; green: (21 + 41 + 62 + 84) / 4
            61, 62, 50, // red: (30 + 91) / 2 = 60.5
            70, 63, 50, // green: (2·41 + 2·84) / 4 = 62.5
            81, 84, 50, // red: (70 + 91) / 2 = 80.5
            91, 73, 50, // green: (2·62 + 2·84) / 4
        ];
        assert_eq!(rgb("bayer_rggb8", 3, &values, false), expected);
        let wide = values.map(|value| 257 * value);
        assert_eq!(rgb("bayer_rggb16", 3, &wide, false), expected);
        assert_eq!(rgb("bayer_rggb16", 3, &wide, true), expected);
        let swapped: Vec<_> = expected
            .chunks(3)
            .flat_map(|rgb| rgb.iter().rev().copied())
            .collect();
        assert_eq!(rgb("bayer_bggr8", 3, &values, false), swapped);
    }

    /// A colour where it was not measured is the mean of all neighbours that have measured it.
    fn by_definition(order: &str, width: usize, values: &[u16]) -> Vec<u16> {
        let height = values.len() / width;
        let mirror = |at: usize, step: usize, n: usize| match at + step {
            0 => 1,
            after if after == n + 1 => n - 2,
            other => other - 1,
        };
        let color = |x: usize, y: usize| order.as_bytes()[y % 2 * 2 + x % 2];
        let mut pixels = Vec::new();
        for i in 0..3 * values.len() {
            let (x, y, wanted) = (i / 3 % width, i / 3 / width, b"rgb"[i % 3]);
            if color(x, y) == wanted {
                pixels.push(values[y * width + x]);
                continue;
            }
            let around = (0..9).map(|k| (mirror(x, k % 3, width), mirror(y, k / 3, height)));
            let found: Vec<_> = around
                .filter(|(x, y)| color(*x, *y) == wanted)
                .map(|(x, y)| f64::from(values[y * width + x]))
                .collect();
            let mean = found.iter().sum::<f64>() / found.len() as f64;
            pixels.push((mean + 0.5).floor() as u16);
        }
        pixels
    }

    #[test]
    fn all_orders_and_sizes_follow_the_definition() {
        let mut rng = StdRng::seed_from_u64(3);
        for order in ["rggb", "bggr", "gbrg", "grbg"] {
            for (width, height) in (2..7).flat_map(|w| (2..6).map(move |h| (w, h))) {
                let values: Vec<u16> = (0..width * height).map(|_| rng.random()).collect();
                let bytes: Vec<_> = values.iter().map(|value| value % 256).collect();
                let expected = by_definition(order, width, &bytes);
                let found = rgb(&format!("bayer_{order}8"), width, &bytes, true);
                let found: Vec<_> = found.into_iter().map(u16::from).collect();
                assert_eq!(found, expected, "{order}8 {width}x{height}");

                let expected: Vec<_> = by_definition(order, width, &values)
                    .into_iter()
                    .map(|value| (f64::from(value) * 255.0 / 65535.0).round() as u8)
                    .collect();
                for is_bigendian in [false, true] {
                    let found = rgb(&format!("bayer_{order}16"), width, &values, is_bigendian);
                    assert_eq!(found, expected, "{order}16 {width}x{height} {is_bigendian}");
                }
            }
        }
    }
}
