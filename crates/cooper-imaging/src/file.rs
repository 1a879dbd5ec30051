//! Images as bytes: PNG files, digests of pixels, and names that tell maps from camera images.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// An 8-bit colour PNG.
///
/// # Errors
/// [`Error::Internal`] if the encoder fails.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let written = image.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|e| Error::Internal(format!("encoding a PNG: {e}")))?;
    Ok(bytes.into_inner())
}

/// How a map's file name ends, before its format, where it lies beside its image: as `cooper scenes` writes them.
pub const MAP_ENDINGS: [&str; 4] = ["_depth", "_ids", "_labels", "_segmentation"];

/// Whether a file's name is that of a map beside an image.
pub fn is_map_name(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    MAP_ENDINGS.iter().any(|ending| stem.ends_with(ending))
}

/// SHA-256 in hexadecimal of the decoded pixels: RGB, a byte each, rows from the top, without padding. It does not
/// depend on width and height.
pub fn sha256(image: &RgbImage) -> String {
    format!("{:x}", Sha256::digest(image.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_holds_the_same_pixels() {
        let image = RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let again = crate::decode_rgb(&encode_png(&image).unwrap(), "png").unwrap();
        assert_eq!(again, image);
        assert_eq!(sha256(&again), sha256(&image));
    }

    #[test]
    fn a_map_is_known_by_its_name() {
        for (name, is_map) in [
            ("rooms/000000.png", false),
            ("rooms/000000_depth.png", true),
            ("000000_ids.png", true),
            ("a_labels.PNG", true),
            ("a_segmentation.png", true),
            ("depth.png", false),
            ("a_depth_b.png", false),
            ("b_depth/a.png", false),
        ] {
            assert_eq!(is_map_name(Path::new(name)), is_map, "{name}");
        }
    }

    #[test]
    fn the_digest_of_an_image_is_that_of_its_bytes() {
        // printf abc | sha256sum
        let abc = RgbImage::from_pixel(1, 1, image::Rgb(*b"abc"));
        assert!(sha256(&abc).starts_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"));
    }
}
