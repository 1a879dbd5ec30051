//! `cooper bench`: how long the parts of the model's work take here, against what this machine can do at best.

mod ceilings;
mod clock;
mod cost;
mod items;
mod memory;
mod report;

use std::path::PathBuf;

use clap::Args;
use cooper_model::Result;
use cooper_model::engine::{
    DeviceChoice, DtypeChoice, Engine, FlowParams, ModelOptions, Quantization,
};

use self::ceilings::Ceilings;
use self::clock::Clock;
use self::items::{Amount, Item, Workload};
use self::report::Report;
use super::model::{at_least, image_size, quantization, threshold};
use super::output;
use super::progress::note;

/// Measure the parts of the model's work: medians of repeats, and how near they come to this machine's ceilings
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Model directory; random weights do (scripts/make_bench_model writes some)
    dir: PathBuf,
    /// Transformer weights, where they lie apart from the configs
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// auto, f32, bf16 or f16
    #[arg(long, default_value = "auto")]
    dtype: DtypeChoice,
    /// Quantisation of the transformer's matrices while loading
    #[arg(long, default_value = "none", value_parser = quantization())]
    quantization: Quantization,
    /// Load the model even if less memory is available than it will take
    #[arg(long)]
    ignore_memory: bool,
    /// Measure these only; all if none is named
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ITEM,…")]
    only: Vec<Item>,
    /// Width and height of the image in pixels, before the model's own resizing
    #[arg(long = "picture", value_name = "WxH", value_parser = image_size, default_value = "640x480")]
    image: (u32, u32),
    /// How often the question, of ten words, is repeated in itself
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 4)]
    questions: usize,
    /// Tokens that are written, without a stop
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 64)]
    tokens: usize,
    /// Points on the time axis of the depth map; one flow step fewer is run
    #[arg(long, value_name = "N", value_parser = at_least::<2>, default_value_t = 10)]
    time_points: usize,
    /// Of the depth map: forecast steps that are expected to be off by this share at most, 0 to 1; 0 computes all
    #[arg(long, value_name = "SHARE", value_parser = threshold, default_value_t = 0.0)]
    cache_threshold: f64,
    /// Measured runs of each item
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 5)]
    repeats: usize,
    /// Runs before them that do not count
    #[arg(long, value_name = "N", value_parser = at_least::<0>, default_value_t = 1)]
    warm_up: usize,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Print the table or the object.
    pub(super) fn run(self) -> Result<()> {
        let engine = Engine::load(&ModelOptions {
            dir: self.dir.clone(),
            weights: self.weights.clone(),
            device: self.device,
            dtype: self.dtype,
            quantization: self.quantization,
            ignores_memory: self.ignore_memory,
        })?;
        let clock = Clock {
            warm_up: self.warm_up,
            repeats: self.repeats,
        };
        note("measuring the ceilings");
        let before = Ceilings::measure(&engine, &clock)?;
        let amount = Amount {
            image: self.image,
            questions: self.questions,
            n_tokens: self.tokens,
            flow: FlowParams {
                time_points: self.time_points,
                cache_threshold: self.cache_threshold,
                ..FlowParams::default()
            },
        };
        let workload = Workload::new(&engine, amount)?;
        let mut rows = Vec::new();
        for item in Item::all() {
            if self.only.is_empty() || self.only.contains(&item) {
                note(&format!("measuring {item}"));
                rows.push((item, workload.measure(item, &clock)?));
            }
        }
        // Other programs come and go: the ceilings are the better of those before and behind.
        let ceilings = before.or_better(Ceilings::measure(&engine, &clock)?);
        let report = Report::new(&engine, &workload, ceilings, &rows);
        if self.json {
            output::print_json(&report)
        } else {
            output::print(&report.to_string())
        }
    }
}
