//! The sizes of Winograd's F(4×4, 3×3), and those of a convolution.

/// Output pixels along a tile's side.
pub const TILE: usize = 4;
/// Numbers along a kernel's side.
pub const KERNEL_SIDE: usize = 3;
/// Input pixels along a tile's side, and transformed numbers.
pub const SIDE: usize = TILE + KERNEL_SIDE - 1;
/// Transformed numbers of a tile.
pub const FREQUENCIES: usize = SIDE * SIDE;
/// Kernels that are transformed at once: they fit into the nearest cache.
pub const KERNELS_AT_ONCE: usize = 128;

/// The sizes of a convolution with stride and padding 1.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Rows of output pixels.
    pub hh: usize,
    /// Columns of output pixels.
    pub ww: usize,
}
