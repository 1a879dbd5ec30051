//! The grid of an image's tokens.

use candle_core::{Device, Result, Tensor, bail};

/// Rows and columns of an image's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// From top to bottom.
    pub rows: usize,
    /// From left to right.
    pub columns: usize,
}

impl Grid {
    /// How many tokens.
    pub fn n_tokens(self) -> usize {
        self.rows * self.columns
    }

    /// `row · side + column` for each token, row by row.
    ///
    /// # Errors
    /// If the grid is larger than the table's side.
    pub fn position_ids(self, side: usize, device: &Device) -> Result<Tensor> {
        let Self { rows, columns } = self;
        if rows > side || columns > side {
            bail!("image: expected at most {side}x{side} tokens, got {columns}x{rows}");
        }
        let ids: Vec<u32> = (0..rows * columns)
            .map(|i| (i / columns * side + i % columns) as u32)
            .collect();
        Tensor::new(ids, device)
    }
}
