//! The matrices with a row for each token: embedding and head.
//!
//! Checkpoints hold them in bf16. Where an f32 model on a CPU has such rows, they stay in 16 bits and become f32 when
//! they are used: nothing is lost, and writing a token reads half as much of the largest matrix.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};
use half::bf16;

use super::autograd::values;
use super::lanes::{self, widest};

/// One of the matrices (vocab, c).
#[derive(Clone, Debug)]
pub struct Vocabulary {
    rows: Rows,
    /// Tokens and width.
    shape: (usize, usize),
}

/// Numbers in a line of the cache.
const LINE: usize = 64 / size_of::<bf16>();
/// How far ahead rows are asked for, in bytes.
const AHEAD: usize = 4096;

#[derive(Clone, Debug)]
enum Rows {
    Plain(Tensor),
    /// Of f32 numbers whose lower halves are zero.
    Narrow(Arc<[bf16]>),
}

impl Vocabulary {
    /// Of `rows` (vocab, c).
    ///
    /// # Errors
    /// If they are no matrix.
    pub fn new(rows: Tensor) -> Result<Self> {
        let shape = rows.dims2()?;
        let is_ours = rows.device().is_cpu() && rows.dtype() == DType::F32;
        let narrow = if is_ours && !rows.track_op() {
            values([&rows], |[rows]| narrowed(rows))?
        } else {
            None
        };
        let rows = narrow.map_or(Rows::Plain(rows), Rows::Narrow);
        Ok(Self { rows, shape })
    }

    /// Bytes of one of its numbers.
    pub fn number(&self) -> usize {
        match &self.rows {
            Rows::Plain(rows) => rows.dtype().size_in_bytes(),
            Rows::Narrow(_) => size_of::<bf16>(),
        }
    }

    /// The rows (n, c) of tokens.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let (vocab, c) = self.shape;
        match &self.rows {
            Rows::Plain(rows) => rows.index_select(&Tensor::new(ids, rows.device())?, 0),
            Rows::Narrow(rows) => {
                let mut embeds = Vec::with_capacity(ids.len() * c);
                for id in ids {
                    let start = *id as usize * c;
                    let Some(row) = rows.get(start..start + c) else {
                        bail!("token: expected an id below {vocab}, got {id}");
                    };
                    embeds.extend(row.iter().map(|x| x.to_f32()));
                }
                Tensor::from_vec(embeds, (ids.len(), c), &candle_core::Device::Cpu)
            }
        }
    }

    /// Hidden states (n, c) → logits (n, vocab), f32.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let (vocab, c) = self.shape;
        let rows = match &self.rows {
            Rows::Plain(rows) => return hidden.matmul(&rows.t()?)?.to_dtype(DType::F32),
            Rows::Narrow(rows) => rows,
        };
        let (n, width) = hidden.dims2()?;
        if width != c {
            bail!("hidden states: expected {c} numbers each, got {width}");
        }
        let mut logits = vec![0f32; vocab * n];
        values([hidden], |[hidden]| {
            lanes::each_row(&mut logits, n, |token, logits| {
                let row = &rows[token * c..(token + 1) * c];
                widest!({
                    for line in row.chunks(LINE) {
                        lanes::fetch_ahead(AHEAD, &line[0]);
                    }
                    for (logit, hidden) in logits.iter_mut().zip(hidden.chunks_exact(c)) {
                        *logit = lanes::dot(row, hidden);
                    }
                });
            });
        })?;
        let logits = Tensor::from_vec(logits, (vocab, n), hidden.device())?;
        logits.t()?.contiguous()
    }
}

/// The upper halves, if the lower ones are zero.
fn narrowed(rows: &[f32]) -> Option<Arc<[bf16]>> {
    let is_narrow = rows.iter().all(|x| x.to_bits() & 0xffff == 0);
    let upper = |x: &f32| bf16::from_bits((x.to_bits() >> 16) as u16);
    is_narrow.then(|| rows.iter().map(upper).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Noise;
    use candle_core::Device;

    #[test]
    fn narrow_rows_give_what_plain_ones_give() {
        let mut noise = Noise::seeded(1);
        let mut normal = |shape: (usize, usize)| noise.normal(shape, &Device::Cpu).unwrap();
        let (wide, hidden) = (normal((40, 100)), normal((3, 100)));
        assert!(matches!(
            Vocabulary::new(wide.clone()).unwrap().rows,
            Rows::Plain(_)
        ));
        let stored = wide
            .to_dtype(DType::BF16)
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap();
        let narrow = Vocabulary::new(stored.clone()).unwrap();
        assert!(matches!(narrow.rows, Rows::Narrow(_)));
        let plain = Vocabulary {
            rows: Rows::Plain(stored),
            shape: (40, 100),
        };
        let numbers = |xs: Result<Tensor>| xs.unwrap().to_vec2::<f32>().unwrap();
        let ids = [39, 0, 7];
        assert_eq!(numbers(narrow.embed(&ids)), numbers(plain.embed(&ids)));
        let (got, expected) = (
            numbers(narrow.logits(&hidden)),
            numbers(plain.logits(&hidden)),
        );
        for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
        assert!(narrow.embed(&[40]).is_err() && plain.embed(&[40]).is_err());
    }
}
