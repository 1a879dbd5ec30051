//! `cooper`, the command line: one module for each command, and `Command` below lists them.
//!
//! Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed or something is
//! wrong with what was checked, 2 wrong usage.
//!
//! Nothing here knows ROS: what the node needs too is in the library `cooper_perception`. Start at `ask.rs` for a command
//! that runs the model (with `model.rs` for its flags and `task.rs` for its progress), or at `output.rs` and
//! `progress.rs` for what all commands print.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod ask;
mod bag;
mod batch;
mod bench;
mod conformance;
mod doctor;
mod eval;
mod maps;
mod model;
mod output;
mod progress;
mod quantize;
mod replay;
mod scenes;
mod task;
mod train;
mod train_help;
mod verdict;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cooper_kernels::{keep_one_heap, use_threads};
use cooper_model::{Error, Result};

use self::verdict::Verdict;

/// COOPER sees, draws depth and segmentation, and reasons about space.
#[derive(Debug, Parser)]
#[command(name = "cooper", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ask(ask::AskArgs),
    Replay(replay::ReplayArgs),
    Depth(maps::DepthArgs),
    Segment(maps::SegmentArgs),
    Bag(Box<bag::BagArgs>),
    Bench(bench::BenchArgs),
    Conformance(conformance::ConformanceArgs),
    Doctor(doctor::DoctorArgs),
    Eval(Box<eval::EvalArgs>),
    Quantize(quantize::QuantizeArgs),
    Train(train::TrainArgs),
    Scenes(scenes::ScenesArgs),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    // Fails only where a subscriber is set already, which then serves as well.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    let command = Cli::parse().command;
    // Training computes micro-batches side by side, each on a thread of its own.
    let trains = matches!(command, Command::Train(_));
    use_threads(usize::from(trains));
    if !trains {
        keep_one_heap();
    }
    match run(command) {
        Ok(verdict) => verdict.into(),
        // The reader (`head`, a pager) has seen enough.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        Err(error) => {
            progress::note(&format!("cooper: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::Ask(args) => args.run().map(|()| Verdict::Good),
        Command::Replay(args) => args.run(),
        Command::Depth(args) => args.run().map(|()| Verdict::Good),
        Command::Segment(args) => args.run().map(|()| Verdict::Good),
        Command::Bag(args) => args.run(),
        Command::Bench(args) => args.run().map(|()| Verdict::Good),
        Command::Conformance(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Quantize(args) => args.run().map(|()| Verdict::Good),
        Command::Train(args) => args.run().map(|()| Verdict::Good),
        Command::Scenes(args) => args.run().map(|()| Verdict::Good),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
