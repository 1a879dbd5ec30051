//! Matplotlib's "Spectral" colours, in which COOPER reads depth: near is dark red, far is violet.

use image::{Rgb, RgbImage};

const ANCHORS: [u32; 11] = [
    0x9e_01_42, 0xd5_3e_4f, 0xf4_6d_43, 0xfd_ae_61, 0xfe_e0_8b, 0xff_ff_bf, 0xe6_f5_98, 0xab_dd_a4,
    0x66_c2_a5, 0x32_88_bd, 0x5e_4f_a2,
];

/// The 256 colours in [0, 1], linear between eleven anchors.
///
/// Step by step as matplotlib's `_create_lookup_table`, since rounding decides where a colour is a whole number.
fn colors() -> [[f64; 3]; 256] {
    let anchor_at = |i: usize| i as f64 * 0.1 * 255.0;
    std::array::from_fn(|i| {
        let x = 255.0 * (i as f64 * (1.0 / 255.0));
        // The first anchor that is not before x; both ends are taken as they are.
        let after = (1..ANCHORS.len() - 1).find(|&a| anchor_at(a) >= x);
        let after = after.unwrap_or(ANCHORS.len() - 1);
        let before = after - 1;
        let share = match i {
            0 => 0.0,
            255 => 1.0,
            _ => (x - anchor_at(before)) / (anchor_at(after) - anchor_at(before)),
        };
        [16, 8, 0].map(|shift| {
            let channel = |anchor: u32| f64::from(anchor >> shift & 0xff) / 255.0;
            let (from, to) = (channel(ANCHORS[before]), channel(ANCHORS[after]));
            share * (to - from) + from
        })
    })
}

/// The 256 colours in 8 bits, fractions cut off.
pub fn spectral_lut() -> [[u8; 3]; 256] {
    colors().map(|color| color.map(|channel| (channel * 255.0) as u8))
}

/// The colours as COOPER paints with them: through f32, which lifts two of them by one step.
pub fn spectral_paints() -> [[u8; 3]; 256] {
    colors().map(|color| color.map(|channel| (channel as f32 * 255.0) as u8))
}

/// Paint values in [0, 1] (row-major, `width` by `height`); others are clipped, NaN is black.
pub fn spectral(values: &[f32], width: u32, height: u32) -> RgbImage {
    let paints = spectral_paints();
    let mut image = RgbImage::new(width, height);
    for (pixel, value) in image.pixels_mut().zip(values) {
        if !value.is_nan() {
            *pixel = Rgb(paints[(value * 256.0).clamp(0.0, 255.0) as usize]);
        }
    }
    image
}
