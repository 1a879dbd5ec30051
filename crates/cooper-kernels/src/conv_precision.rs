//! The precision of convolutions.

use super::attention::KeyPrecision;
use super::int16_matmul::has_int16_matmul;

/// The fewest input channels for which Winograd's algorithm and 16-bit integers are faster than im2col in f32.
pub const MIN_WINOGRAD_CHANNELS: usize = 16;

/// The number format in which convolutions multiply on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPrecision {
    /// 32-bit floats.
    F32,
    /// Kernels and pixels quantised to 16-bit integers, where processor and channels allow it. With AVX-512 it is twice as
    /// fast, with a relative error of about 1e-3. It cannot be trained.
    I16,
}

impl ConvPrecision {
    /// Whether a convolution with kernels of this side, from `c_in` channels to `c_out`, runs in 16-bit integers.
    pub fn is_int16(self, kernel: usize, c_in: usize, c_out: usize) -> bool {
        self == Self::I16
            && c_in >= MIN_WINOGRAD_CHANNELS
            && has_int16_matmul(c_out, c_in * kernel * kernel)
    }

    /// The precision for keys and values of attention among such convolutions.
    pub fn key_precision(self) -> KeyPrecision {
        match self {
            Self::F32 => KeyPrecision::Full,
            Self::I16 => KeyPrecision::Reduced,
        }
    }
}
