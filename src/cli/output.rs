//! What the commands write: standard output, and files that are either whole or not there.

use std::io::{Cursor, Write};
use std::path::Path;

use cooper_imaging::folder_of;
use cooper_model::{Error, Result};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use serde::Serialize;

/// Print to standard output at once.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("standard output", e))
}

/// Print one JSON object.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(json(value)? + "\n"))
}

/// Write one JSON object to a file.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, (json(value)? + "\n").as_bytes())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::Internal(format!("JSON: {e}")))
}

/// Say that `path` cannot be written before the model has worked for minutes.
pub(super) fn check_writable(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if path.is_dir() || !folder.is_dir() {
        let why = format!(
            "cannot be written: expected a file's path in a folder that exists, got {}",
            if path.is_dir() {
                "a folder"
            } else {
                "no such folder"
            }
        );
        return Err(Error::invalid(path.display().to_string(), why));
    }
    Ok(())
}

/// Replace `path` by `bytes` at once: readers see the old file or the new one, never a part.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(cooper_imaging::write_file(path, bytes)?)
}

/// Write an 8-bit colour PNG.
pub(super) fn write_rgb_png(path: &Path, image: &RgbImage) -> Result<()> {
    write_image(path, &DynamicImage::from(image.clone()), ImageFormat::Png)
}

/// Write a 16-bit grey PNG.
pub(super) fn write_u16_png(path: &Path, size: [u32; 2], values: Vec<u16>) -> Result<()> {
    let image: ImageBuffer<Luma<u16>, _> = buffer(size, values)?;
    write_image(path, &DynamicImage::from(image), ImageFormat::Png)
}

/// Write a 32-bit floating point EXR: the values in all three channels.
pub(super) fn write_exr(path: &Path, size: [u32; 2], values: &[f32]) -> Result<()> {
    let channels = values.iter().flat_map(|&v| [v, v, v]).collect();
    let image: ImageBuffer<Rgb<f32>, _> = buffer(size, channels)?;
    write_image(path, &DynamicImage::from(image), ImageFormat::OpenExr)
}

/// Write numpy's array file: little-endian f32, rows first.
pub(super) fn write_npy(path: &Path, [width, height]: [u32; 2], values: &[f32]) -> Result<()> {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    // Magic, version and length are 10 bytes; the data must start at a multiple of 64, after a newline.
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|e| Error::Internal(e.to_string()))?;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    write(path, &bytes)
}

fn buffer<P>(size: [u32; 2], values: Vec<P::Subpixel>) -> Result<ImageBuffer<P, Vec<P::Subpixel>>>
where
    P: image::Pixel,
{
    let got = values.len();
    ImageBuffer::from_raw(size[0], size[1], values)
        .ok_or_else(|| Error::Internal(format!("a map of size {size:?} has {got} values")))
}

/// Write an image in its own pixel format.
pub(super) fn write_image(path: &Path, image: &DynamicImage, format: ImageFormat) -> Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, format)
        .map_err(|e| Error::Internal(format!("encoding {}: {e}", path.display())))?;
    write(path, bytes.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        std::fs::write(taken.join("file"), "").unwrap();
        assert!(write(&taken, b"bytes").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(check_writable(&taken).is_err());
        assert!(check_writable(&dir.path().join("none/file")).is_err());
        assert!(check_writable(Path::new("file")).is_ok());
    }

    #[test]
    fn npy_data_starts_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("map.npy");
        write_npy(&path, [3, 2], &[0.0, 0.25, 0.5, 0.75, 1.0, 0.125]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((start % 64, bytes[start - 1]), (0, b'\n'));
        assert_eq!(bytes.len(), start + 6 * 4);
        assert!(String::from_utf8_lossy(&bytes[10..start]).contains("'shape': (2, 3)"));
    }
}
