//! `cooper quantize`: a model directory with quantised matrices.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cooper_model::Result;
use cooper_model::engine::{ModelOptions, Quantization, quantize};
use indicatif::{ProgressBar, ProgressStyle};

use super::doctor::size;
use super::output;

/// Write a model directory whose matrices are quantised; every command and the node load it like any other
#[derive(Debug, Args)]
pub(super) struct QuantizeArgs {
    /// Model directory with plain weights
    dir: PathBuf,
    /// The new directory
    out: PathBuf,
    /// 8 bits, or 4 where rows are whole blocks of 256
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Kind,
    /// Transformer weights, where they lie apart from the configs
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4k")]
    Q4K,
}

impl QuantizeArgs {
    /// Quantise, showing a bar on a terminal, and say what became of it.
    pub(super) fn run(self) -> Result<()> {
        let options = ModelOptions {
            dir: self.dir,
            weights: self.weights,
            quantization: match self.kind {
                Kind::Q8_0 => Quantization::Q8_0,
                Kind::Q4K => Quantization::Q4K,
            },
            ..ModelOptions::default()
        };
        let bar = ProgressBar::new(0).with_style(
            ProgressStyle::with_template("{bar:30} {pos}/{len} matrices, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let done = quantize(&options, &self.out, &mut |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        let types: Vec<_> = done.types.iter().map(|(t, n)| format!("{n} {t}")).collect();
        let types = if types.is_empty() {
            "none".to_owned()
        } else {
            types.join(" and ")
        };
        let mut told = format!(
            "{}: matrices quantised: {types}; the transformer's files: {} before, {} now\n",
            self.out.display(),
            size(done.bytes_before),
            size(done.bytes_after)
        );
        if !done.kept.is_empty() {
            told += &format!(
                "{} matrices stay as they were: their rows are not whole blocks of 32\n",
                done.kept.len()
            );
        }
        output::print(&told)
    }
}
