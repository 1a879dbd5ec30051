//! Muon: the momentum of a matrix, made nearly orthogonal, is its update.
//!
//! Source: Jordan et al. 2024 (github.com/KellerJordan/Muon) for the iteration and its coefficients; Liu et al. 2025
//! (arXiv 2502.16982 §2.2) for the scale, with which AdamW's learning rate and decay fit.

use candle_core::{Result, Tensor};

/// Of the polynomial a·s + b·s³ + c·s⁵ that takes singular values to about 1.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
const STEPS: usize = 5;
/// The root mean square of AdamW's updates, in learning rates.
const RMS: f64 = 0.2;

/// An update (rows, columns), or of kernels (rows, c, k, k), with singular values of about 1 (0.7 to 1.2) in place of its
/// own, scaled to the size of AdamW's.
///
/// # Errors
/// If it has no rows and columns.
pub fn orthogonal(update: &Tensor) -> Result<Tensor> {
    let matrix = update.flatten_from(1)?;
    let (rows, columns) = matrix.dims2()?;
    let is_tall = rows > columns;
    let wide = if is_tall { matrix.t()? } else { matrix };
    let norm = f64::from(update.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?);
    let mut x = (wide.contiguous()? / (norm + 1e-7))?;
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..STEPS {
        let square = x.matmul(&x.t()?)?;
        let polynomial = ((&square * b)? + (square.matmul(&square)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    let x = (x * (RMS * (rows.max(columns) as f64).sqrt()))?;
    let x = if is_tall { x.t()?.contiguous()? } else { x };
    x.reshape(update.shape())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use cooper_kernels::Noise;

    use super::*;

    fn numbers(matrix: &Tensor) -> Vec<f32> {
        matrix.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn singular_values_become_about_1_and_directions_stay() {
        for (rows, columns) in [(24, 40), (40, 24), (32, 32)] {
            let update = Noise::seeded(1).normal(&[rows, columns], &Device::Cpu);
            let got = numbers(&orthogonal(&update.unwrap()).unwrap());
            let got = nalgebra::DMatrix::from_row_slice(rows, columns, &got);
            let scale = (RMS * (rows.max(columns) as f64).sqrt()) as f32;
            let values = got.singular_values() / scale;
            let fits = values.iter().filter(|value| (0.6..1.3).contains(*value));
            // The smallest of a random square matrix may be too small for five steps.
            assert!(fits.count() + 1 >= values.len(), "{values}");
        }
        // Of a rotation times a number the rotation is left.
        let (sin, cos) = 0.7f32.sin_cos();
        let update = Tensor::new(
            &[[30.0 * cos, -30.0 * sin], [30.0 * sin, 30.0 * cos]],
            &Device::Cpu,
        );
        let turned = numbers(&orthogonal(&update.unwrap()).unwrap());
        let length = turned[0].hypot(turned[1]);
        assert!((turned[0] / length - cos).abs() < 1e-3 && (turned[2] / length - sin).abs() < 1e-3);
        assert!(
            (length / (RMS * 2f64.sqrt()) as f32 - 1.0).abs() < 0.3,
            "{length}"
        );
    }

    #[test]
    fn kernels_are_matrices_of_their_output_channels() {
        let kernels = Noise::seeded(2)
            .normal(&[6, 2, 3, 3], &Device::Cpu)
            .unwrap();
        let got = orthogonal(&kernels).unwrap();
        assert_eq!(got.dims(), kernels.dims());
        let flat = orthogonal(&kernels.reshape((6, 18)).unwrap()).unwrap();
        assert_eq!(numbers(&got), numbers(&flat));
    }

    #[test]
    fn no_update_stays_none() {
        let zeros = Tensor::new(&[[0f32; 3]; 2], &Device::Cpu).unwrap();
        assert_eq!(numbers(&orthogonal(&zeros).unwrap()), [0.0; 6]);
    }
}
