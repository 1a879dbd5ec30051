//! Between 8-bit images and the network's tensors.

use candle_core::{Device, Result, Tensor, bail};
use image::RgbImage;

use super::grid::Grid;

/// How channels in [0, 1] become the network's input: `(x − mean) / std`.
#[derive(Clone, Copy, Debug)]
pub struct Normalization {
    /// Per channel.
    pub mean: [f32; 3],
    /// Per channel.
    pub std: [f32; 3],
}

impl Normalization {
    /// The image as (3, hh, ww), f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn pixels(&self, image: &RgbImage, device: &Device) -> Result<Tensor> {
        let (ww, hh) = (image.width() as usize, image.height() as usize);
        let mut planes = Vec::with_capacity(3 * hh * ww);
        for c in 0..3 {
            let (mean, std) = (self.mean[c], self.std[c]);
            let plane = image
                .pixels()
                .map(|p| (f32::from(p.0[c]) / 255.0 - mean) / std);
            planes.extend(plane);
        }
        Tensor::from_vec(planes, (3, hh, ww), device)
    }
}

/// Cut pixels (c, hh, ww) into square patches: (rows·columns, p·p·c), each in (row, column, channel) order.
///
/// # Errors
/// If a side is not a multiple of `p`.
pub fn patchify(pixels: &Tensor, p: usize) -> Result<Tensor> {
    let (c, hh, ww) = pixels.dims3()?;
    if hh % p != 0 || ww % p != 0 {
        bail!("patchify: expected sides that are multiples of {p}, got {ww}x{hh}");
    }
    let (rows, columns) = (hh / p, ww / p);
    pixels
        .reshape((c, rows, p, columns, p))?
        .permute((1, 3, 2, 4, 0))? // (rows, columns, p, p, c)
        .reshape((rows * columns, p * p * c))
}

/// Put the patches (b·rows·columns, p·p·c) of `b` images of a grid together again: (b, c, hh, ww).
///
/// # Errors
/// If the shape is another.
pub fn unpatchify(patches: &Tensor, b: usize, grid: Grid, p: usize) -> Result<Tensor> {
    let (Grid { rows, columns }, c) = (grid, patches.dim(1)? / (p * p));
    patches
        .reshape((b, rows, columns, p, p, c))?
        .permute((0, 5, 1, 3, 2, 4))? // (b, c, rows, p, columns, p)
        .reshape((b, c, rows * p, columns * p))
}

/// (3, hh, ww) in [0, 1], clamped, as an 8-bit image; fractions are cut off, as upstream.
///
/// # Errors
/// If the shape is another.
pub fn from_unit_pixels(pixels: &Tensor) -> Result<RgbImage> {
    let (_, hh, ww) = pixels.dims3()?;
    let data: Vec<u8> = pixels
        .permute((1, 2, 0))?
        .flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(|x| (x * 255.0) as u8)
        .collect();
    match RgbImage::from_raw(ww as u32, hh as u32, data) {
        Some(image) => Ok(image),
        None => bail!("expected three channels, got {:?}", pixels.shape()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_run_over_rows_columns_channels() {
        let values: Vec<f32> = (0..3 * 4 * 6)
            .map(|i| (i / 24 * 1000 + i % 24 / 6 * 10 + i % 6) as f32) // channel·1000 + row·10 + column
            .collect();
        let pixels = Tensor::from_vec(values, (3, 4, 6), &Device::Cpu).unwrap();
        let patches = patchify(&pixels, 2).unwrap();
        assert_eq!(patches.dims(), [6, 12]);
        let grid = Grid {
            rows: 2,
            columns: 3,
        };
        let twice = Tensor::cat(&[&patches, &patches], 0).unwrap();
        let again = unpatchify(&twice, 2, grid, 2).unwrap().get(1).unwrap();
        let moved = (again - &pixels).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(moved.to_scalar::<f32>().unwrap(), 0.0);
        assert_eq!(
            patches.to_vec2::<f32>().unwrap()[4], // row 1, column 1
            [
                22.0, 1022.0, 2022.0, 23.0, 1023.0, 2023.0, 32.0, 1032.0, 2032.0, 33.0, 1033.0,
                2033.0
            ]
        );
    }
}
