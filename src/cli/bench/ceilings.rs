//! What this machine does at best: a large matrix product, a large copy.

use candle_core::{Device, Tensor};
use cooper_model::Result;
use cooper_model::engine::Engine;
use rayon::prelude::*;
use serde::Serialize;

use super::clock::{Clock, Timing};

/// Rows, inner size and columns of the matrix product: 17 GFLOP.
const PRODUCT: (usize, usize, usize) = (1024, 2048, 4096);
/// Numbers of the copy, 64 MiB: more than the caches of few cores, and less than a model.
const COPY: usize = 1 << 24;

/// The ceilings of this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ceilings {
    /// Of the product, in the model's number format on its device.
    pub(super) gflop_per_s: f64,
    /// Read and written, on all cores of the CPU.
    pub(super) gb_per_s: f64,
}

impl Ceilings {
    /// Measure both; the fastest run is the ceiling.
    pub(super) fn measure(engine: &Engine, clock: &Clock) -> Result<Self> {
        let product = time_product(engine, clock)?;
        let copy = time_copy(clock)?;
        let (m, k, n) = PRODUCT;
        Ok(Self {
            gflop_per_s: 2e-9 * (m * k * n) as f64 / product.fastest,
            gb_per_s: 2e-9 * (COPY * size_of::<f32>()) as f64 / copy.fastest,
        })
    }

    /// The greater ones.
    pub(super) fn or_better(&self, other: Self) -> Self {
        Self {
            gflop_per_s: self.gflop_per_s.max(other.gflop_per_s),
            gb_per_s: self.gb_per_s.max(other.gb_per_s),
        }
    }
}

fn time_product(engine: &Engine, clock: &Clock) -> Result<Timing> {
    let (m, k, n) = PRODUCT;
    let (device, dtype) = (engine.model().device(), engine.model().dtype());
    let ones = |shape: (usize, usize)| Tensor::ones(shape, dtype, device);
    let (a, b) = (ones((m, k))?, ones((k, n))?);
    clock.time(
        || Ok(()),
        |()| {
            // Reading one number waits for the device.
            let product = a.matmul(&b)?;
            let corner = product.narrow(0, 0, 1)?.narrow(1, 0, 1)?;
            Ok(corner.to_device(&Device::Cpu)?)
        },
    )
}

fn time_copy(clock: &Clock) -> Result<Timing> {
    let from = vec![1f32; COPY];
    let mut to = vec![0f32; COPY];
    let part = COPY.div_ceil(rayon::current_num_threads());
    clock.time(
        || Ok(()),
        |()| {
            to.par_chunks_mut(part)
                .zip(from.par_chunks(part))
                .for_each(|(to, from)| to.copy_from_slice(from));
            Ok(())
        },
    )
}
