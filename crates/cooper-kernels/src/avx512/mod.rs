//! Kernels in instructions of x86 processors with 512-bit registers, where plain loops and candle's kernels are slower.
//!
//! Each is used only where the processor has the instructions, and each has its test beside the plain form.

mod attention;
mod int16;
mod matrix;
mod tile;

pub use attention::{attend_in_bf16, attend_one, has_bf16};
pub use int16::{
    COLUMNS, EIGHT, EightRows, RoundedColumns, RoundedRows, has_rounded_rows, rounded_product,
};
pub use matrix::{QuantizedRows, ROWS, TiledMatrix};
pub use tile::TILE;
