//! Every encoding by hand-made pixels, everything that is refused, and headers and data at random.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn raw<'a>(encoding: &'a str, width: u32, height: u32, step: u32, data: &'a [u8]) -> RawImage<'a> {
    RawImage {
        width,
        height,
        step,
        encoding,
        is_bigendian: false,
        data,
    }
}

#[track_caller]
fn check(image: RawImage, expected: &[u8]) {
    let rgb = image.to_rgb().unwrap();
    assert_eq!(rgb.dimensions(), (image.width, image.height));
    assert_eq!(rgb.into_raw(), expected, "{}", image.encoding);
}

#[track_caller]
fn refused(image: RawImage, expected: &str) {
    let error = image.check().unwrap_err().to_string();
    assert_eq!(error, format!("image: {expected}"));
    assert_eq!(image.to_rgb().unwrap_err().to_string(), error);
}

#[test]
fn bytes_a_pixel() {
    let rgb = [1, 2, 3, 4, 5, 6];
    let bgr = [3, 2, 1, 6, 5, 4];
    check(raw("rgb8", 2, 1, 6, &rgb), &rgb);
    check(raw("bgr8", 2, 1, 6, &rgb), &bgr);
    check(raw("8UC3", 2, 1, 6, &rgb), &bgr);
    // Opaque, then 51 / 255 = 0.2: white keeps 204, and 200 · 0.2 = 40.
    let rgba = [1, 2, 3, 255, 200, 100, 0, 51];
    check(raw("rgba8", 2, 1, 8, &rgba), &[1, 2, 3, 244, 224, 204]);
    check(raw("bgra8", 2, 1, 8, &rgba), &[3, 2, 1, 204, 224, 244]);
    check(raw("mono8", 2, 1, 2, &[7, 9]), &[7, 7, 7, 9, 9, 9]);
    check(raw("8UC1", 2, 1, 2, &[7, 9]), &[7, 7, 7, 9, 9, 9]);
}

#[test]
fn sixteen_bits_in_both_orders() {
    // 0x0180 = 384 = 1.49 · 257, 0x8001 = 32769 = 127.5 · 257
    let image = raw("mono16", 2, 1, 4, &[0x80, 0x01, 0x01, 0x80]);
    check(image, &[1, 1, 1, 128, 128, 128]);
    let image = RawImage {
        is_bigendian: true,
        ..image // 0x8001, 0x0180
    };
    check(image, &[128, 128, 128, 1, 1, 1]);
}

#[test]
fn the_order_of_bytes_does_not_matter_to_single_bytes() {
    let image = RawImage {
        is_bigendian: true,
        ..raw("bgr8", 1, 1, 3, &[1, 2, 3])
    };
    check(image, &[3, 2, 1]);
}

#[test]
fn sixteen_bits_are_scaled_and_rounded() {
    for value in 0..=u16::MAX {
        let exact = f64::from(value) * 255.0 / 65535.0;
        assert_eq!(narrow(value), exact.round() as u8, "{value}");
    }
}

/// Red, blue and green of BT.601, as Y, U and V, and what OpenCV's three decimals make of them (see `yuv`).
const RED: ([u8; 3], [u8; 3]) = ([81, 90, 240], [254, 0, 0]);
const BLUE: ([u8; 3], [u8; 3]) = ([41, 240, 110], [0, 0, 255]);
const GREEN: ([u8; 3], [u8; 3]) = ([145, 54, 34], [0, 255, 1]);

#[test]
fn two_pixels_share_a_color_in_422() {
    let ([y, u, v], red) = RED;
    // The second pixel is black with the red's colour: 1.596 · 112 = 178.75, and green and blue are below 0.
    let expected = [red, [179, 0, 0]].concat();
    for name in ["yuv422", "uyvy"] {
        check(raw(name, 2, 1, 4, &[u, y, v, 16]), &expected);
    }
    for name in ["yuv422_yuy2", "yuyv"] {
        check(raw(name, 2, 1, 4, &[y, u, 16, v]), &expected);
    }
}

#[test]
fn four_pixels_share_a_color_in_nv12() {
    let ([ry, ru, rv], red) = RED;
    let ([by, bu, bv], blue) = BLUE;
    let ([gy, gu, gv], green) = GREEN;
    #[rustfmt::skip]
    let data = [
        ry, ry, by, by, 99,
        ry, 16, by, by, 99,
        gy, gy, ry, ry, 99,
        gy, gy, ry, ry, 99,
        ru, rv, bu, bv, 99,
        gu, gv, ru, rv, 99,
    ];
    let expected = [
        [red, red, blue, blue],
        [red, [179, 0, 0], blue, blue],
        [green, green, red, red],
        [green, green, red, red],
    ];
    check(
        raw("nv12", 4, 4, 5, &data),
        expected.as_flattened().as_flattened(),
    );
}

#[test]
fn padding_and_what_is_behind_the_last_row_are_skipped() {
    let data = [1, 9, 9, 9, 2, 9, 9, 9, 9, 9];
    check(raw("mono8", 1, 2, 4, &data), &[1, 1, 1, 2, 2, 2]);
    // An odd step: values of 16 bits need not lie at even places.
    let data = [0, 1, 9, 0, 2, 9];
    check(raw("mono16", 1, 2, 3, &data), &[1, 1, 1, 2, 2, 2]);
    let data = [16, 128, 235, 128, 9, 235, 128, 16, 128, 9];
    let rows = [[0, 0, 0, 255, 255, 255], [255, 255, 255, 0, 0, 0]];
    check(raw("yuyv", 2, 2, 5, &data), rows.as_flattened());
}

#[test]
fn every_name_is_read_and_needs_its_bytes() {
    for (name, n_bytes) in [
        ("rgb8", 24),
        ("bgr8", 24),
        ("8UC3", 24),
        ("rgba8", 32),
        ("bgra8", 32),
        ("mono8", 8),
        ("8UC1", 8),
        ("mono16", 16),
        ("yuv422", 16),
        ("uyvy", 16),
        ("yuv422_yuy2", 16),
        ("yuyv", 16),
        ("nv12", 12),
        ("bayer_rggb8", 8),
        ("bayer_bggr8", 8),
        ("bayer_gbrg8", 8),
        ("bayer_grbg8", 8),
        ("bayer_rggb16", 16),
        ("bayer_bggr16", 16),
        ("bayer_gbrg16", 16),
        ("bayer_grbg16", 16),
    ] {
        let encoding = Encoding::read(name).unwrap();
        let step = encoding.row_bytes(4);
        assert_eq!(step * encoding.n_rows(2), n_bytes, "{name}");
        let data = vec![128; n_bytes as usize];
        let image = raw(name, 4, 2, step as u32, &data);
        assert_eq!(image.to_rgb().unwrap().dimensions(), (4, 2), "{name}");
        let cut = RawImage {
            data: &data[1..],
            ..image
        };
        let error = cut.check().unwrap_err().to_string();
        let (rows, got) = (n_bytes / step, n_bytes - 1);
        let words = format!("expected {n_bytes} bytes ({rows} rows of {step}), got {got}");
        assert!(error.ends_with(&words), "{error}");
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let zeros = [0; 64];
    let of = |encoding, width, height, step| raw(encoding, width, height, step, &zeros);
    refused(
        of("rgb8", 0, 4, 0),
        "its size is 0x4; expected at least 1x1",
    );
    refused(
        of("nv12", 4, 0, 4),
        "its size is 4x0; expected at least 1x1",
    );
    refused(
        of("rgb8", 2, 1, 5),
        "its step is 5; expected at least 6 (2 pixels of rgb8)",
    );
    refused(
        of("yuyv", 4, 1, 7),
        "its step is 7; expected at least 8 (4 pixels of yuyv)",
    );
    refused(
        of("bayer_rggb16", 3, 2, 5),
        "its step is 5; expected at least 6 (3 pixels of bayer_rggb16)",
    );
    for name in ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"] {
        let words = "its size is 3x2; expected an even width for YUV 4:2:2";
        refused(of(name, 3, 2, 6), words);
        assert!(of(name, 2, 3, 4).to_rgb().is_ok());
    }
    for (width, height) in [(3, 2), (2, 3)] {
        let words =
            format!("its size is {width}x{height}; expected an even width and height for nv12");
        refused(of("nv12", width, height, 4), &words);
    }
    for (width, height) in [(1, 2), (2, 1)] {
        let words = format!("its size is {width}x{height}; expected at least 2x2 for Bayer");
        refused(of("bayer_grbg8", width, height, 4), &words);
    }
    refused(
        of("mono8", 16_385, 1, 16_385),
        "its size is 16385x1; expected at most 16384 pixels a side",
    );
    refused(
        of("rgba8", u32::MAX, u32::MAX, u32::MAX),
        "its size is 4294967295x4294967295; expected at most 16384 pixels a side",
    );
}

#[test]
fn truncated_data_is_refused() {
    refused(
        raw("rgb8", 1, 2, 3, &[0; 5]),
        "its data is truncated: expected 6 bytes (2 rows of 3), got 5",
    );
    refused(
        raw("nv12", 2, 2, 2, &[0; 4]),
        "its data is truncated: expected 6 bytes (3 rows of 2), got 4",
    );
    // 24576 · (2^32 − 1) bytes
    refused(
        raw("nv12", 16_384, 16_384, u32::MAX, &[]),
        "its data is truncated: expected 105553116241920 bytes (24576 rows of 4294967295), got 0",
    );
}

#[test]
fn unknown_names_are_refused_with_those_that_are_known() {
    let known = "rgb8, bgr8, rgba8, bgra8, mono8, mono16, bayer_rggb8, bayer_bggr8, bayer_gbrg8, bayer_grbg8, \
        bayer_rggb16, bayer_bggr16, bayer_gbrg16, bayer_grbg16, yuv422, uyvy, yuv422_yuy2, yuyv, nv12, 8UC1, 8UC3";
    for name in ["", "RGB8", "rgb8 ", "bayer_rggb", "16UC3", "jpeg"] {
        let words = format!("unsupported encoding `{name}`; expected one of {known}");
        refused(raw(name, 1, 1, 8, &[0; 8]), &words);
    }
    for name in ["16UC1", "32FC1"] {
        let words = format!(
            "unsupported encoding `{name}`: it is depth, not an image; expected one of {known}"
        );
        refused(raw(name, 1, 1, 8, &[0; 8]), &words);
    }
}

/// Mostly small, sometimes at a limit, sometimes anything.
fn random_side(rng: &mut StdRng) -> u32 {
    match rng.random_range(0..20) {
        0 => [16_384, 16_385, 1 << 31, u32::MAX][rng.random_range(0..4)],
        1 => rng.random(),
        _ => rng.random_range(0..9),
    }
}

#[test]
fn no_header_and_no_data_panic() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut bytes = [0; 400];
    let mut n_read = 0;
    for round in 0..50_000 {
        rng.fill(&mut bytes[..]);
        let encoding = match rng.random_range(0..30) {
            0 => "16UC1",
            1 => "",
            number => NAMES[number % NAMES.len()].0,
        };
        let step = match rng.random_range(0..10) {
            0 => random_side(&mut rng),
            _ => rng.random_range(0..40),
        };
        let image = RawImage {
            width: random_side(&mut rng),
            height: random_side(&mut rng),
            step,
            encoding,
            is_bigendian: rng.random(),
            data: &bytes[..rng.random_range(0..=bytes.len())],
        };
        match (image.check(), image.to_rgb()) {
            (Ok(_), Ok(rgb)) => {
                n_read += 1;
                assert_eq!(rgb.dimensions(), (image.width, image.height), "{round}");
            }
            (Err(checked), Err(read)) => assert_eq!(checked.to_string(), read.to_string()),
            (checked, _) => panic!("{round}: {checked:?} but not so when read, of {image:?}"),
        }
    }
    assert!(n_read > 5_000, "only {n_read} images could be read");
}
