//! `cooper train`: the stages of the recipe, each from one configuration file.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use cooper_perception::config::read_yaml;
use cooper_train::training::{
    Ended, Layout, LogLine, Parameters, RunConfig, Stage, grpo, newest_checkpoint, run, supervised,
    vae, vit,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::progress::note;
use super::train_keys;

/// Train a model, stage by stage.
///
/// A run goes on from the newest checkpoint in its folder, bit for bit as if it had never been stopped;
/// Ctrl-C saves one and ends. The log is in `train.jsonl` of that folder. A checkpoint is a model directory: give
/// it to `cooper ask --model`, or to the next stage as `run.init`. All keys of a stage's configuration:
/// `cooper train STAGE --help`.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    #[command(subcommand)]
    stage: StageArgs,
}

#[derive(Debug, Subcommand)]
enum StageArgs {
    /// The autoencoder of a small model, on generated scenes.
    #[command(after_long_help = train_keys::vae())]
    Vae(ConfigArgs),
    /// The vision encoder of a small model: what is seen in each cell of generated scenes.
    #[command(after_long_help = train_keys::vit())]
    Vit(ConfigArgs),
    /// Stage 1, auxiliary modality generation: draw depth maps and segmentations.
    #[command(after_long_help = train_keys::supervised())]
    Amg(ConfigArgs),
    /// Stage 2a, supervised fine-tuning on questions and interleaved reasoning.
    #[command(after_long_help = train_keys::supervised())]
    Sft(ConfigArgs),
    /// Stage 2b, reinforcement (GRPO): answers to questions are sampled, rewarded and learned from.
    #[command(after_long_help = train_keys::grpo())]
    Grpo(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The stage's configuration.
    #[arg(value_name = "CONFIG.yaml")]
    config: PathBuf,
}

impl TrainArgs {
    pub(super) fn run(self) -> Result<()> {
        match self.stage {
            StageArgs::Vae(args) => {
                let config: vae::VaeTraining = read_yaml(&args.config)?;
                let (stage, parameters) = vae::VaeStage::new(&config)?;
                train(&config.run, &vae::LAYOUT, &parameters, &stage)
            }
            StageArgs::Amg(args) | StageArgs::Sft(args) => {
                let config: supervised::SupervisedTraining = read_yaml(&args.config)?;
                let (stage, parameters) = supervised::SupervisedStage::new(&config)?;
                train(&config.run, &supervised::LAYOUT, &parameters, &stage)
            }
            StageArgs::Grpo(args) => {
                let config: grpo::GrpoTraining = read_yaml(&args.config)?;
                let (stage, parameters) = grpo::GrpoStage::new(&config)?;
                train(&config.run, &grpo::LAYOUT, &parameters, &stage)
            }
            StageArgs::Vit(args) => {
                let config: vit::VitTraining = read_yaml(&args.config)?;
                let (stage, parameters) = vit::VitStage::new(&config)?;
                train(&config.run, &vit::LAYOUT, &parameters, &stage)
            }
        }
    }
}

/// Run a stage with its log, its progress and Ctrl-C.
fn train(
    config: &RunConfig,
    layout: &Layout,
    parameters: &Parameters,
    stage: &impl Stage,
) -> Result<()> {
    let cancel = Cancel::default();
    let on_interrupt = cancel.clone();
    // Fails only where a handler is set already.
    let _ = ctrlc::set_handler(move || on_interrupt.cancel());
    std::fs::create_dir_all(&config.out).map_err(|e| Error::io(&config.out, e))?;
    let log_file = config.out.join("train.jsonl");
    let mut log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log_file)
        .map_err(|e| Error::io(&log_file, e))?;
    let from = newest_checkpoint(&config.out).map_or(0, |(step, _)| step);
    note(&format!(
        "training {} of {} numbers, step {from} to {}, {} threads",
        parameters.n_trained(),
        parameters
            .all()
            .map(|(_, var)| var.elem_count())
            .sum::<usize>(),
        config.steps,
        config.n_threads(),
    ));
    let bar = bar(config.steps, from);
    let mut failed = None;
    let ended = run(config, layout, parameters, stage, &cancel, |line| {
        let written = write_line(&mut log, line, bar.as_ref());
        if let Err(why) = written {
            failed = Some(Error::io(&log_file, why));
            cancel.cancel();
        }
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match (ended, failed) {
        (_, Some(error)) => return Err(error),
        (Ended::Done(at), None) => note(&format!("done: {}", at.display())),
        (Ended::Stopped(at), None) => note(&format!(
            "stopped; the same command goes on from {}",
            at.display()
        )),
    }
    Ok(())
}

/// A bar on a terminal, at the step to go on from.
fn bar(steps: usize, from: usize) -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(steps as u64).with_position(from as u64);
        let template = "{bar:30} {pos}/{len} {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    })
}

fn write_line(
    log: &mut impl Write,
    line: &LogLine,
    bar: Option<&ProgressBar>,
) -> std::io::Result<()> {
    let json = serde_json::to_string(line)?;
    writeln!(log, "{json}")?;
    match bar {
        Some(bar) => {
            bar.set_position(line.step as u64);
            let loss = line.metrics.get("loss").copied().unwrap_or_default();
            bar.set_message(format!(
                "loss {loss:.4}, {:.1} samples/s",
                line.samples_per_s
            ));
        }
        None => note(&json),
    }
    Ok(())
}
