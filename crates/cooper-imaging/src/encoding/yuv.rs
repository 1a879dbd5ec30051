//! YUV as cameras mean it: BT.601 in limited range (black is 16, white 235, colours lie around 128).
//!
//! The matrix is the one in OpenCV's `color_yuv.simd.hpp`: three decimals of ITU-R BT.601, as 20-bit fixed point.
//! Neighbours that share a colour get just that one, as there: nothing is interpolated.

use std::slice::ChunksExactMut;

use super::pixel::Rgb;

const BITS: u32 = 20;

/// A coefficient of the matrix.
const fn fixed(thousandths: i64) -> i32 {
    ((thousandths << BITS) / 1000) as i32
}

const BRIGHTNESS: i32 = fixed(1164);
const RED_OF_V: i32 = fixed(1596);
const GREEN_OF_V: i32 = fixed(813);
const GREEN_OF_U: i32 = fixed(391);
const BLUE_OF_U: i32 = fixed(2018);

/// One pixel. A value below black counts as black before colour comes to it, as in OpenCV.
fn rgb(y: u8, u: u8, v: u8) -> Rgb {
    let y = BRIGHTNESS * (i32::from(y) - 16).max(0);
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let sums = [
        y + RED_OF_V * v,
        y - GREEN_OF_V * v - GREEN_OF_U * u,
        y + BLUE_OF_U * u,
    ];
    sums.map(|sum| ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8)
}

/// Read rows of 4:2:2, in which two pixels have four bytes; `yuyv` gives them the order Y0, U, Y1, V.
pub(super) fn packed(
    rows: &[&[u8]],
    output: ChunksExactMut<'_, Rgb>,
    yuyv: impl Fn([u8; 4]) -> [u8; 4],
) {
    for (row, output) in rows.iter().zip(output) {
        let pairs = output.as_chunks_mut::<2>().0.iter_mut();
        for (bytes, pair) in row.as_chunks::<4>().0.iter().zip(pairs) {
            let [y0, u, y1, v] = yuyv(*bytes);
            *pair = [rgb(y0, u, v), rgb(y1, u, v)];
        }
    }
}

/// Read rows of Y, as many as the output has, and behind them rows of U and V, each for two rows of pixels.
pub(super) fn planes(rows: &[&[u8]], output: ChunksExactMut<'_, Rgb>) {
    let colors = rows.iter().skip(output.len());
    let colors = colors.flat_map(|row| [row, row]);
    for ((row, colors), output) in rows.iter().zip(colors).zip(output) {
        let grey = row.as_chunks::<2>().0.iter();
        let colors = colors.as_chunks::<2>().0.iter();
        let pairs = output.as_chunks_mut::<2>().0.iter_mut();
        for (([y0, y1], [u, v]), pair) in grey.zip(colors).zip(pairs) {
            *pair = [rgb(*y0, *u, *v), rgb(*y1, *u, *v)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coefficients_are_opencvs() {
        let found = [BRIGHTNESS, RED_OF_V, GREEN_OF_V, GREEN_OF_U, BLUE_OF_U];
        assert_eq!(found, [1_220_542, 1_673_527, 852_492, 409_993, 2_116_026]);
    }

    #[test]
    fn pixels_by_hand() {
        for (yuv, expected) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]), // 1.164 · 219 = 254.9
            ([126, 128, 128], [128, 128, 128]), // 1.164 · 110 = 128.04
            ([81, 90, 240], [254, 0, 0]), // 75.66 + 1.596 · 112 = 254.4; 75.66 − 91.06 + 14.86 < 0
            ([145, 54, 34], [0, 255, 1]), // 150.16 − 150.02; 150.16 + 76.42 + 28.93; 150.16 − 149.33
            ([41, 240, 110], [0, 0, 255]), // 29.1 − 28.73; 29.1 + 14.63 − 43.79; 29.1 + 226.02
            ([0, 128, 240], [179, 0, 0]), // 1.596 · 112 = 178.75, not 18.62 less
        ] {
            let [y, u, v] = yuv;
            assert_eq!(rgb(y, u, v), expected, "{yuv:?}");
        }
    }

    #[test]
    fn it_is_bt_601_to_the_rounding_of_its_coefficients() {
        let (kr, kg, kb) = (0.299, 0.587, 0.114); // the standard's weights of red, green and blue
        let value = |x: f64| x.clamp(0.0, 255.0).round();
        for y in (16..=255).step_by(3) {
            for (u, v) in (0..256)
                .step_by(5)
                .flat_map(|u| (0..=255).step_by(5).map(move |v| (u, v)))
            {
                let grey = (f64::from(y) - 16.0) * 255.0 / 219.0;
                let (pb, pr) = [u, v]
                    .map(|c| (f64::from(c) - 128.0) * 255.0 / 224.0)
                    .into();
                let red = grey + 2.0 * (1.0 - kr) * pr;
                let blue = grey + 2.0 * (1.0 - kb) * pb;
                let green = (grey - kr * red - kb * blue) / kg;
                let found = rgb(y as u8, u as u8, v as u8).map(f64::from);
                for (found, exact) in found.iter().zip([red, green, blue]) {
                    assert!(
                        (found - value(exact)).abs() <= 1.0,
                        "{y} {u} {v}: {found} {exact}"
                    );
                }
            }
        }
    }
}
