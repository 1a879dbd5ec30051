//! Images from files and bytes, always RGB: transparency is laid over white.

use std::io::Cursor;
use std::path::Path;

use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits,
    Luma, RgbImage,
};

use crate::error::{Error, Result};

/// The longest side of an image that is read, in pixels.
pub(super) const MAX_SIDE: u32 = 16_384;
/// The most memory that decoding may take, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Read a PNG or JPEG file.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::InvalidInput`] if it is no image or too large.
pub fn load_rgb(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    decode_rgb(&bytes, &path.display().to_string())
}

/// Decode a PNG or JPEG; `what` names it in errors. EXIF rotation is not applied, as upstream.
///
/// # Errors
/// [`Error::InvalidInput`] if it is corrupt, of another format, or larger than 16384 pixels a side.
pub fn decode_rgb(bytes: &[u8], what: &str) -> Result<RgbImage> {
    let refuse = |why: String| Error::invalid(what, format!("expected a PNG or JPEG image: {why}"));
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| refuse(e.to_string()))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        let n = bytes.len();
        return Err(refuse(format!("got {n} bytes of another format")));
    }
    reader.limits(limits());
    let decoder = reader.into_decoder().map_err(|e| refuse(e.to_string()))?;
    if decoder.total_bytes() > MAX_BYTES {
        let n = decoder.total_bytes();
        return Err(refuse(format!(
            "expected at most {MAX_BYTES} bytes of pixels, got {n}"
        )));
    }
    let color_type = decoder.original_color_type();
    let image = DynamicImage::from_decoder(decoder).map_err(|e| refuse(e.to_string()))?;
    Ok(match color_type {
        // Upstream lays only RGBA and declared transparency over white, and drops the alpha of grey images.
        ExtendedColorType::La8 | ExtendedColorType::La16 => {
            DynamicImage::from(image.into_luma8()).into_rgb8()
        }
        _ => to_rgb(image),
    })
}

/// Read a PNG of 16-bit greys, as depth is stored.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::InvalidInput`] if it is something else or too large.
pub fn load_grey16(path: &Path) -> Result<ImageBuffer<Luma<u16>, Vec<u16>>> {
    const EXPECTED: &str = "a 16-bit grey PNG";
    match load_png(path, EXPECTED)? {
        DynamicImage::ImageLuma16(map) => Ok(map),
        other => Err(unexpected(path, EXPECTED, &other)),
    }
}

/// Read a PNG of greys, 8 or 16 bits: the values, row-major, with width and height, and whether they have 16 bits.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::InvalidInput`] if it is something else or too large.
pub fn load_grey(path: &Path) -> Result<(u32, u32, Vec<u16>, bool)> {
    const EXPECTED: &str = "a grey PNG";
    match load_png(path, EXPECTED)? {
        DynamicImage::ImageLuma16(map) => Ok((map.width(), map.height(), map.into_raw(), true)),
        DynamicImage::ImageLuma8(map) => {
            let (width, height) = map.dimensions();
            let values = map.into_raw().into_iter().map(u16::from).collect();
            Ok((width, height, values, false))
        }
        other => Err(unexpected(path, EXPECTED, &other)),
    }
}

fn load_png(path: &Path, expected: &str) -> Result<DynamicImage> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    reader.limits(limits());
    reader.decode().map_err(|e| {
        let what = path.display().to_string();
        Error::invalid(what, format!("expected {expected}: {e}"))
    })
}

fn unexpected(path: &Path, expected: &str, got: &DynamicImage) -> Error {
    let what = path.display().to_string();
    Error::invalid(what, format!("expected {expected}, got {:?}", got.color()))
}

/// Limits against small files that decode to huge images.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

/// RGB with transparency laid over white, in Pillow's integer arithmetic.
///
/// Source: BAGEL `data/data_utils.py`, `pil_img2rgb`.
pub fn to_rgb(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
        image::Rgb([r, g, b].map(|channel| over_white(channel, alpha)))
    })
}

/// `channel·alpha + 255·(255 − alpha)`, divided by 255 and rounded as Pillow does.
pub(super) fn over_white(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    let sum = channel * alpha + 255 * (255 - alpha) + 128;
    (((sum >> 8) + sum) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use image::{GrayAlphaImage, LumaA, RgbaImage};

    use super::*;

    fn png(image: DynamicImage) -> RgbImage {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        decode_rgb(bytes.get_ref(), "test").unwrap()
    }

    #[test]
    fn transparency_lies_over_white_but_alpha_of_grey_is_dropped() {
        let colored = RgbaImage::from_pixel(2, 1, image::Rgba([200, 100, 0, 51]));
        assert_eq!(png(colored.into()).get_pixel(0, 0).0, [244, 224, 204]);
        let grey = GrayAlphaImage::from_pixel(2, 1, LumaA([100, 51]));
        assert_eq!(png(grey.into()).get_pixel(0, 0).0, [100; 3]);
    }

    #[test]
    fn opacity_blends_over_white() {
        assert_eq!(over_white(0, 128), 127);
        assert_eq!(over_white(255, 3), 255);
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        for bytes in [
            &b""[..],
            b"GIF89a",
            b"\x76\x2f\x31\x01 an EXR",
            b"\x89PNG\r\n\x1a\n cut",
        ] {
            let error = decode_rgb(bytes, "camera image").unwrap_err().to_string();
            assert!(
                error.starts_with("camera image: expected a PNG or JPEG"),
                "{error}"
            );
        }
    }
}
