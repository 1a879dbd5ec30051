//! The matrices with a row for each token: embedding and LM head.
//!
//! Checkpoints hold them in bf16. In an f32 model on a CPU such rows stay in 16 bits and become f32 when they are used. This is
//! exact, and a token reads half as many bytes of the largest matrix.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};
use half::bf16;

use super::autograd::with_slices;
use super::quantized_lm_head::QuantizedLmHead;
use super::simd::{self, dispatch};

/// One of the matrices (vocab, c).
#[derive(Clone, Debug)]
pub struct Vocabulary {
    rows: Rows,
    /// Tokens and width.
    shape: (usize, usize),
    /// With it [`Vocabulary::argmax`] skips most rows.
    quantized_lm_head: Option<QuantizedLmHead>,
}

#[derive(Clone, Debug)]
enum Rows {
    Plain(Tensor),
    /// Of f32 numbers whose lower halves are zero.
    Bf16(Arc<[bf16]>),
}

impl Vocabulary {
    /// From `rows` (vocab, c).
    ///
    /// # Errors
    /// If they are no matrix.
    pub fn new(rows: Tensor) -> Result<Self> {
        let shape = rows.dims2()?;
        let is_cpu_f32 = rows.device().is_cpu() && rows.dtype() == DType::F32;
        let bf16_rows = if is_cpu_f32 && !rows.track_op() {
            with_slices([&rows], |[rows]| exact_bf16(rows))?
        } else {
            None
        };
        let rows = bf16_rows.map_or(Rows::Plain(rows), Rows::Bf16);
        let quantized_lm_head = None;
        Ok(Self {
            rows,
            shape,
            quantized_lm_head,
        })
    }

    /// Add a quantised copy that makes [`Vocabulary::argmax`] faster, if the rows are in 16 bits. It takes half
    /// as many bytes again.
    #[must_use]
    pub fn with_quantized_head(mut self) -> Self {
        if let Rows::Bf16(rows) = &self.rows {
            self.quantized_lm_head = QuantizedLmHead::new(rows, self.shape.1);
        }
        self
    }

    /// Bytes that [`Vocabulary::with_quantized_head`] adds to a matrix of this shape in 16 bits.
    pub fn quantized_head_bytes(shape: &[usize]) -> u64 {
        let c = shape.last().copied().unwrap_or_default();
        (shape.iter().product::<usize>() as f64 * QuantizedLmHead::bytes_per_number(c)) as u64
    }

    /// Bytes that [`Vocabulary::argmax`] reads for each number of the matrix.
    pub fn argmax_bytes_per_number(&self) -> f64 {
        match (&self.quantized_lm_head, &self.rows) {
            (Some(_), _) => QuantizedLmHead::bytes_per_number(self.shape.1),
            (None, Rows::Plain(rows)) => rows.dtype().size_in_bytes() as f64,
            (None, Rows::Bf16(_)) => size_of::<bf16>() as f64,
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
            Rows::Bf16(rows) => {
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
            Rows::Bf16(rows) => rows,
        };
        let (n, width) = hidden.dims2()?;
        if width != c {
            bail!("hidden states: expected {c} numbers each, got {width}");
        }
        let mut logits = vec![0f32; vocab * n];
        with_slices([hidden], |[hidden]| {
            simd::for_each_row(&mut logits, n, |token, logits| {
                let row = &rows[token * c..(token + 1) * c];
                dispatch!({
                    for (logit, hidden) in logits.iter_mut().zip(hidden.chunks_exact(c)) {
                        *logit = simd::dot_prefetched(row, hidden);
                    }
                });
            });
        })?;
        let logits = Tensor::from_vec(logits, (vocab, n), hidden.device())?;
        logits.t()?.contiguous()
    }

    /// The argmax over the first `n` tokens of [`Vocabulary::logits`] for one hidden state (1, c); of equal logits the first.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn argmax(&self, hidden: &Tensor, n: usize) -> Result<u32> {
        if let Some(token) = self.argmax_of_shortlist(hidden, n)? {
            return Ok(token);
        }
        let logits = self.logits(hidden)?.squeeze(0)?;
        logits.narrow(0, 0, n)?.argmax(0)?.to_scalar()
    }

    /// [`Vocabulary::argmax`] of the quantised head's shortlist, if it has one.
    fn argmax_of_shortlist(&self, hidden: &Tensor, n: usize) -> Result<Option<u32>> {
        let (vocab, c) = self.shape;
        let (Some(quantized_lm_head), Rows::Bf16(rows)) = (&self.quantized_lm_head, &self.rows)
        else {
            return Ok(None);
        };
        if hidden.dims() != [1, c] || n > vocab {
            return Ok(None);
        }
        let best = with_slices([hidden], |[hidden]| {
            let shortlist = quantized_lm_head.shortlist(hidden, n)?;
            let logits = shortlist.into_iter().map(|token| {
                let row = &rows[token * c..(token + 1) * c];
                (token, dispatch!(simd::dot(row, hidden)))
            });
            logits.reduce(|best, other| if other.1 > best.1 { other } else { best })
        })?;
        Ok(best.map(|(token, _)| token as u32))
    }
}

/// The numbers in bf16, if that is exact.
fn exact_bf16(rows: &[f32]) -> Option<Arc<[bf16]>> {
    let is_exact = rows.iter().all(|x| x.to_bits() & 0xffff == 0);
    let upper = |x: &f32| bf16::from_bits((x.to_bits() >> 16) as u16);
    is_exact.then(|| rows.iter().map(upper).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Noise;

    #[test]
    fn bf16_rows_give_what_f32_rows_give() {
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
        let in_bf16 = Vocabulary::new(stored.clone()).unwrap();
        assert!(matches!(in_bf16.rows, Rows::Bf16(_)));
        let plain = Vocabulary {
            rows: Rows::Plain(stored),
            shape: (40, 100),
            quantized_lm_head: None,
        };
        let numbers = |xs: Result<Tensor>| xs.unwrap().to_vec2::<f32>().unwrap();
        let ids = [39, 0, 7];
        assert_eq!(numbers(in_bf16.embed(&ids)), numbers(plain.embed(&ids)));
        let (got, expected) = (
            numbers(in_bf16.logits(&hidden)),
            numbers(plain.logits(&hidden)),
        );
        for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
        assert!(in_bf16.embed(&[40]).is_err() && plain.embed(&[40]).is_err());
    }

    /// Rows (n, c) as a checkpoint in bf16 has them.
    fn stored(rows: Vec<f32>, c: usize) -> Tensor {
        let rows = rows.into_iter().map(|x| bf16::from_f32(x).to_f32());
        let rows: Vec<_> = rows.collect();
        let n = rows.len() / c;
        Tensor::from_vec(rows, (n, c), &Device::Cpu).unwrap()
    }

    /// Checks `argmax`; whether the shortlist gave it.
    fn check_argmax(head: &Vocabulary, hidden: &Tensor, n: usize) -> bool {
        let logits = head.logits(hidden).unwrap().squeeze(0).unwrap();
        let expected = logits.narrow(0, 0, n).unwrap().argmax(0).unwrap();
        let expected = expected.to_scalar::<u32>().unwrap();
        assert_eq!(head.argmax(hidden, n).unwrap(), expected, "of {n}");
        head.argmax_of_shortlist(hidden, n).unwrap().is_some()
    }

    #[test]
    fn argmax_is_that_of_the_logits() {
        let (vocab, c) = (3001, 100);
        let mut noise = Noise::seeded(2);
        let mut normal = |n: usize| {
            let normal = noise.normal((n,), &Device::Cpu).unwrap();
            normal.to_vec1::<f32>().unwrap()
        };
        let row_of = |xs: Vec<f32>| Tensor::from_vec(xs, (1, c), &Device::Cpu).unwrap();
        let random = normal(vocab * c);
        let mut with_outliers = random.clone();
        with_outliers
            .iter_mut()
            .step_by(170)
            .for_each(|x| *x *= 40.0);
        let twice = [&random[..], &random[..]].concat();
        // Rows that are equal in 8 bits.
        let base = normal(c);
        let alike = (0..vocab * c).map(|i| base[i % c] * (1.0 + (i * i % 7) as f32 / 256.0));
        for (rows, has_shortlist) in [
            (random.clone(), true),
            (with_outliers, true),
            (twice, true),
            (alike.collect(), false),
            (vec![0.0; vocab * c], false),
        ] {
            let head = Vocabulary::new(stored(rows, c))
                .unwrap()
                .with_quantized_head();
            let n_rows = head.shape.0;
            for n in [n_rows, n_rows - 50, 17] {
                for _ in 0..20 {
                    let is_from_shortlist = check_argmax(&head, &row_of(normal(c)), n);
                    assert!(
                        is_from_shortlist == has_shortlist || n == 17,
                        "{n} of {n_rows}"
                    );
                }
            }
            assert!(!check_argmax(&head, &row_of(vec![0.0; c]), n_rows));
            for extreme in [f32::NAN, f32::INFINITY, 1e38, 1e-42] {
                let mut hidden = normal(c);
                hidden[3] = extreme;
                check_argmax(&head, &row_of(hidden.clone()), n_rows);
                let hidden = hidden.iter().map(|x| x * extreme).collect();
                check_argmax(&head, &row_of(hidden), n_rows);
            }
        }
        let mut broken = random;
        broken[5 * c] = f32::NAN;
        let head = Vocabulary::new(stored(broken, c))
            .unwrap()
            .with_quantized_head();
        assert!(head.quantized_lm_head.is_none());
        check_argmax(&head, &row_of(normal(c)), vocab);
    }

    #[test]
    fn a_quantized_head_takes_the_planned_bytes() {
        let rows = vec![1.0; 300 * 70];
        let head = Vocabulary::new(stored(rows, 70)).unwrap();
        assert_eq!(head.argmax_bytes_per_number(), 2.0);
        let quantized_lm_head = head.with_quantized_head().quantized_lm_head.unwrap();
        assert_eq!(
            quantized_lm_head.bytes(),
            Vocabulary::quantized_head_bytes(&[300, 70])
        );
    }
}
