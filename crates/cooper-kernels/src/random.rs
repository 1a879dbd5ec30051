//! All randomness of a request: sampled on the CPU from one seed, so that every device gets the same numbers.

use std::collections::VecDeque;

use candle_core::{Device, Result, Shape, Tensor, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// A source of normal noise.
#[derive(Debug)]
pub enum Noise {
    /// Sampled from a seeded generator.
    Seeded(Box<StdRng>),
    /// Given tensors in the order of use, as golden files have them.
    Given(VecDeque<Tensor>),
}

impl Noise {
    /// Noise from a seed.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Box::new(StdRng::seed_from_u64(seed)))
    }

    /// Given noise.
    pub fn given(tensors: impl IntoIterator<Item = Tensor>) -> Self {
        Self::Given(tensors.into_iter().collect())
    }

    /// The next standard normal tensor, f32.
    ///
    /// # Errors
    /// If given noise is used up or has another number of elements.
    pub fn normal(&mut self, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let shape = shape.into();
        match self {
            Self::Seeded(rng) => {
                let values: Vec<f32> = StandardNormal
                    .sample_iter(rng.as_mut())
                    .take(shape.elem_count())
                    .collect();
                Tensor::from_vec(values, shape, device)
            }
            Self::Given(tensors) => match tensors.pop_front() {
                Some(tensor) if tensor.elem_count() == shape.elem_count() => {
                    tensor.reshape(shape)?.to_device(device)
                }
                Some(tensor) => bail!("noise: expected {shape:?}, got {:?}", tensor.shape()),
                None => {
                    bail!("noise: expected {shape:?}, got none: all handed-in noise is used up")
                }
            },
        }
    }
}
