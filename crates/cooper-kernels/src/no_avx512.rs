//! What stands for [`avx512`](super::avx512) on other processors: nothing. There is no value of its types.

use std::ops::Range;

use candle_core::quantized::GgmlDType;
use half::bf16;

use super::attention::Heads;

/// Of it there is no value; as a part of the others, where the compiler does not take it for a sign of dead code.
#[derive(Debug)]
enum Nothing {}

/// No rows in a tile.
pub const TILE: usize = 1;
/// No rows at once.
pub const ROWS: usize = 1;

/// No rows.
#[derive(Debug)]
pub struct QuantizedRows(Nothing);

impl QuantizedRows {
    /// Never called: there is no matrix.
    pub fn of_part(_: &[f32], matrix: &TiledMatrix) -> Self {
        match matrix.0 {}
    }

    /// Never called.
    pub fn of(_: &[f32], matrix: &TiledMatrix) -> Self {
        match matrix.0 {}
    }
}

/// No matrix.
#[derive(Debug)]
pub struct TiledMatrix(Nothing);

impl TiledMatrix {
    /// None.
    pub fn bytes(_: GgmlDType, _: usize, _: usize) -> Option<u64> {
        None
    }

    /// None.
    pub fn new(_: GgmlDType, _: &[u8], _: (usize, usize)) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn with_bias(self, _: &[f32]) -> Self {
        match self.0 {}
    }

    /// Never called.
    pub fn n_tiles(&self) -> usize {
        match self.0 {}
    }

    /// Never called.
    pub fn width(&self) -> usize {
        match self.0 {}
    }

    /// Never called.
    pub fn out(&self) -> usize {
        match self.0 {}
    }

    /// Never called.
    pub fn product(&self, _: &QuantizedRows, _: Range<usize>, _: Range<usize>, _: &mut [f32]) {
        match self.0 {}
    }
}

/// Not done.
pub fn attend_one(_: &[f32], _: &[bf16], _: &[bf16], _: &mut [f32]) -> bool {
    false
}

/// No.
pub fn has_bf16(_: usize) -> bool {
    false
}

/// Never called where [`has_bf16`] says no.
pub fn attend_in_bf16(
    _: &[f32],
    _: &Heads<bf16>,
    _: &Heads<bf16>,
    _: Option<&[f32]>,
    _: (usize, usize),
) -> Vec<f32> {
    Vec::new()
}

/// No rows.
#[derive(Debug)]
pub struct RoundedRows(Nothing);

impl RoundedRows {
    /// Never called where [`has_rounded_rows`] says no.
    ///
    /// # Panics
    /// If it is.
    pub fn new(_: &[f32], _: usize) -> Self {
        unreachable!("there are no rounded rows on this processor")
    }

    /// Never called where [`has_rounded_rows`] says no.
    ///
    /// # Panics
    /// If it is.
    pub fn zeros(_: usize, _: usize) -> Self {
        unreachable!("there are no rounded rows on this processor")
    }

    /// Never called.
    pub fn eights(&mut self) -> std::iter::Empty<EightRows> {
        match self.0 {}
    }
}

/// No row.
pub struct EightRows(Nothing);

impl EightRows {
    /// Never called.
    pub fn set(&mut self, _: usize, _: &[f32]) {
        match self.0 {}
    }
}

/// No columns at once.
pub const COLUMNS: usize = 1;

/// No rows at once.
pub const EIGHT: usize = 1;

/// No columns.
#[derive(Debug, Default)]
pub struct RoundedColumns;

impl RoundedColumns {
    /// Never called where [`has_rounded_rows`] says no.
    pub fn set(&mut self, _: &[f32], _: usize, _: usize) {}
}

/// No.
pub fn has_rounded_rows(_: usize, _: usize) -> bool {
    false
}

/// Never called.
pub fn rounded_product(_: &mut [f32], rows: &RoundedRows, _: usize, _: &RoundedColumns) {
    match rows.0 {}
}
