//! `cooper quantize`: a model directory with quantised matrices.

use std::path::PathBuf;

use clap::Args;
use cooper_model::Result;
use cooper_model::engine::{ModelOptions, Quantization, quantize};

use super::doctor::size;
use super::model::quantized_type;
use super::{output, progress};

/// Write a model directory whose matrices are quantised; every command and the node load it like any other
#[derive(Debug, Args)]
pub(super) struct QuantizeArgs {
    /// Model directory with plain weights
    dir: PathBuf,
    /// The new directory
    out: PathBuf,
    /// q8_0 has 8 bits; the others have fewer where rows are whole blocks of 256
    #[arg(long = "type", value_parser = quantized_type(), value_name = "TYPE")]
    quantization: Quantization,
    /// Transformer weights, where they lie apart from the configs
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

impl QuantizeArgs {
    /// Quantise with a progress bar on a terminal, and print a summary.
    pub(super) fn run(self) -> Result<()> {
        let options = ModelOptions {
            dir: self.dir,
            weights: self.weights,
            quantization: self.quantization,
            ..ModelOptions::default()
        };
        let bar = progress::bar(0, "{bar:30} {pos}/{len} matrices, {eta} left");
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
