//! The tiles of quantised matrices: the numbers of llama.cpp's Q4_K and Q8_0 in another order.
//!
//! 16 rows of the matrix lie side by side, so that an instruction multiplies four numbers of each with four of the input.
//! The input becomes bytes with a scale for 256 of them, once for all matrices that it meets.

use bytemuck::{Pod, Zeroable};

/// Rows of the matrix in a tile.
pub const TILE: usize = 16;
/// Numbers of a row in a tile, and of the input with one scale.
pub const WIDTH: usize = 256;
/// Numbers with a scale of their own in the matrix.
pub const SUB: usize = 32;

/// Sums of one input row with the 16 rows of a tile.
pub type Sums = [f32; TILE];

/// 256 numbers of an input row.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct InputBlock {
    /// Four bytes in each.
    pub numbers: [i32; WIDTH / 4],
    /// The sums of 32 of them, two each.
    pub sums: [i32; WIDTH / SUB / 2],
    /// The value of 1.
    pub scale: f32,
}

impl InputBlock {
    /// Round 256 numbers. To be inlined into `dispatch!`.
    #[inline(always)]
    pub fn quantize(xs: &[f32]) -> Self {
        const NEAREST: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves the nearest integer in the low bits
        let mut most = [0f32; 16];
        for xs in xs.chunks_exact(16) {
            for (most, x) in most.iter_mut().zip(xs) {
                *most = most.max(x.abs());
            }
        }
        let most = most.into_iter().fold(0f32, f32::max);
        let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
        let mut block = Self::zeroed();
        block.scale = most / 127.0;
        let numbers: &mut [i8] = bytemuck::cast_slice_mut(&mut block.numbers);
        for (number, x) in numbers.iter_mut().zip(xs) {
            *number = (x * inverse + NEAREST).to_bits() as i8;
        }
        let sums: &mut [i16] = bytemuck::cast_slice_mut(&mut block.sums);
        for (sum, numbers) in sums.iter_mut().zip(numbers.chunks_exact(SUB)) {
            *sum = numbers.iter().map(|x| i16::from(*x)).sum();
        }
        block
    }
}

/// The layout of 256 numbers of 16 rows.
pub trait TileLayout: Pod + Send + Sync {
    /// Bytes of one row's 256 numbers as a file stores them.
    const STORED_BYTES: usize;

    /// Take one row's numbers as a file stores them.
    fn set_row(&mut self, row: usize, stored: &[u8]);
}

/// In 4 bits: `d · scale · number − d_min · min`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct TileQ4K {
    /// By 8 numbers of each row: the first four in the lower bits, the others in the upper.
    pub numbers: [[u8; 4 * TILE]; WIDTH / 8],
    /// Scales in 6 bits.
    pub scales: [[u8; TILE]; WIDTH / SUB],
    /// Of 64 numbers, two of each row.
    pub mins: [[u8; 2 * TILE]; WIDTH / SUB / 2],
    /// In half precision.
    pub d: [u16; TILE],
    /// In half precision.
    pub d_min: [u16; TILE],
}

/// In 8 bits: `d · (number − 128)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct TileQ8_0 {
    /// By 4 numbers of each row.
    pub numbers: [[u8; 4 * TILE]; WIDTH / 4],
    /// In half precision.
    pub d: [[u16; TILE]; WIDTH / SUB],
}

/// The six bits of scale and minimum of 32 numbers.
fn scale_and_min(sub: usize, packed: &[u8]) -> (u8, u8) {
    if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        let (low, scale, min) = (packed[sub + 4], packed[sub - 4], packed[sub]);
        (low & 15 | scale >> 6 << 4, low >> 4 | min >> 6 << 4)
    }
}

impl TileLayout for TileQ4K {
    const STORED_BYTES: usize = 144;

    fn set_row(&mut self, row: usize, stored: &[u8]) {
        let half = |i: usize| u16::from_le_bytes([stored[i], stored[i + 1]]);
        (self.d[row], self.d_min[row]) = (half(0), half(2));
        for sub in 0..WIDTH / SUB {
            let (scale, min) = scale_and_min(sub, &stored[4..16]);
            self.scales[sub][row] = scale;
            self.mins[sub / 2][2 * row + sub % 2] = min;
        }
        // 64 numbers lie in 32 bytes: the first half of them in the lower bits.
        let number = |i: usize| stored[16 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
        for (i, numbers) in self.numbers.iter_mut().enumerate() {
            for j in 0..4 {
                numbers[4 * row + j] = number(8 * i + j) | number(8 * i + 4 + j) << 4;
            }
        }
    }
}

impl TileLayout for TileQ8_0 {
    const STORED_BYTES: usize = 34 * WIDTH / SUB;

    fn set_row(&mut self, row: usize, stored: &[u8]) {
        for (sub, block) in stored.chunks_exact(34).enumerate() {
            self.d[sub][row] = u16::from_le_bytes([block[0], block[1]]);
            for (i, number) in block[2..].iter().enumerate() {
                self.numbers[8 * sub + i / 4][4 * row + i % 4] = number ^ 128;
            }
        }
    }
}
