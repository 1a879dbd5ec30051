//! Images as bytes: PNG files, and digests of pixels.

use std::io::Cursor;

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
    fn the_digest_of_an_image_is_that_of_its_bytes() {
        // printf abc | sha256sum
        let abc = RgbImage::from_pixel(1, 1, image::Rgb(*b"abc"));
        assert!(sha256(&abc).starts_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"));
    }
}
