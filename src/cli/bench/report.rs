//! What was measured, as a table and as an object.

use std::fmt;

use cooper_model::engine::Engine;
use serde::Serialize;

use super::ceilings::Ceilings;
use super::clock::Timing;
use super::items::{DrawingSteps, Item, Workload};
use super::memory::peak_bytes;

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: String,
    device: String,
    dtype: String,
    threads: usize,
    weights_bytes: u64,
    /// Of the resized image.
    #[serde(rename = "picture")]
    image: [u32; 2],
    #[serde(rename = "picture_tokens")]
    image_tokens: usize,
    latent_tokens: usize,
    depth_map_steps: DrawingSteps,
    ceilings: Ceilings,
    items: Vec<Row>,
    peak_memory_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Row {
    item: Item,
    seconds: Timing,
    gflop: f64,
    gflop_per_s: f64,
    /// Where memory is the limit.
    gb: Option<f64>,
    gb_per_s: Option<f64>,
}

impl Report {
    /// Of the medians.
    pub(super) fn new(
        engine: &Engine,
        workload: &Workload,
        ceilings: Ceilings,
        measured: &[(Item, Timing)],
    ) -> Self {
        let (width, height, image_tokens, latent_tokens) = workload.sizes();
        let row = |(item, seconds): &(Item, Timing)| {
            let cost = workload.cost(*item);
            let gflop = cost.flop * 1e-9;
            let gb = cost.bytes.map(|bytes| bytes * 1e-9);
            Row {
                item: *item,
                gflop,
                gflop_per_s: gflop / seconds.median,
                gb,
                gb_per_s: gb.map(|gb| gb / seconds.median),
                seconds: seconds.clone(),
            }
        };
        Self {
            model: engine.dir().display().to_string(),
            device: engine.device_name(),
            dtype: engine.dtype_name(),
            threads: rayon::current_num_threads(),
            weights_bytes: engine.memory_bytes(),
            image: [width, height],
            image_tokens,
            latent_tokens,
            depth_map_steps: workload.drawing(),
            ceilings,
            items: measured.iter().map(row).collect(),
            peak_memory_bytes: peak_bytes(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [width, height] = self.image;
        writeln!(
            f,
            "{}: {} in {} on {} thread(s), {:.2} GB of weights",
            self.model,
            self.device,
            self.dtype,
            self.threads,
            self.weights_bytes as f64 * 1e-9
        )?;
        writeln!(
            f,
            "image {width}x{height}: {} tokens read, {} drawn",
            self.image_tokens, self.latent_tokens
        )?;
        let steps = self.depth_map_steps;
        writeln!(
            f,
            "depth map: {} of {} flow steps computed, latents off by {:.2} %",
            steps.computed,
            steps.made,
            100.0 * steps.latents_error
        )?;
        writeln!(
            f,
            "ceilings here: matrix product {:.0} GFLOP/s, copy {:.1} GB/s\n",
            self.ceilings.gflop_per_s, self.ceilings.gb_per_s
        )?;
        writeln!(
            f,
            "{:<16} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8}",
            "item", "median ms", "fastest", "slowest", "cpu ms", "GFLOP/s", "ceiling", "GB/s"
        )?;
        for row in &self.items {
            let seconds = &row.seconds;
            write!(
                f,
                "{:<16} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>10.1} {:>7.0}%",
                row.item.to_string(),
                seconds.median * 1e3,
                seconds.fastest * 1e3,
                seconds.slowest * 1e3,
                seconds.cpu.unwrap_or(f64::NAN) * 1e3,
                row.gflop_per_s,
                100.0 * row.gflop_per_s / self.ceilings.gflop_per_s
            )?;
            match row.gb_per_s {
                Some(gb_per_s) => writeln!(f, " {gb_per_s:>8.1}")?,
                None => writeln!(f)?,
            }
        }
        match self.peak_memory_bytes {
            Some(bytes) => writeln!(f, "\npeak memory {:.2} GB", bytes as f64 * 1e-9),
            None => Ok(()),
        }
    }
}
