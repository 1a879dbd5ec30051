//! `cooper train`: the stages of the recipe, each from one configuration file.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use cooper_model::{Error, Result};
use cooper_perception::config::read_yaml;
use cooper_train::training::{
    LogLine, Parameters, RunOutcome, Stage, config_schema, grpo, newest_checkpoint, run,
    supervised, vae, vit,
};
use indicatif::ProgressBar;
use serde_json::Value;

use super::progress::note;
use super::{batch, output, progress, train_help};

/// Train a model, stage by stage.
///
/// A run continues from the newest checkpoint in its folder, bit for bit as if it had never been stopped;
/// Ctrl-C saves one and ends; a second Ctrl-C ends at once. The log is in `train.jsonl` of that folder. A checkpoint is a model directory: give
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
    #[command(after_long_help = StageName::Vae.help())]
    Vae(ConfigArgs),
    /// The vision encoder of a small model: what each cell of generated scenes shows.
    #[command(after_long_help = StageName::Vit.help())]
    Vit(ConfigArgs),
    /// Stage 1, auxiliary modality generation: draw depth maps and segmentations.
    #[command(after_long_help = StageName::Amg.help())]
    Amg(ConfigArgs),
    /// Stage 2a, supervised fine-tuning on questions and interleaved reasoning.
    #[command(after_long_help = StageName::Sft.help())]
    Sft(ConfigArgs),
    /// Stage 2b, reinforcement (GRPO): answers to questions are sampled, rewarded and learned from.
    #[command(after_long_help = StageName::Grpo.help())]
    Grpo(ConfigArgs),
    /// Print the JSON Schema of a stage's configuration: editors complete and check its keys
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
struct SchemaArgs {
    /// The stage
    #[arg(value_enum, value_name = "STAGE")]
    stage: StageName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StageName {
    Vae,
    Vit,
    Amg,
    Sft,
    Grpo,
}

impl StageName {
    fn schema(self) -> Value {
        match self {
            Self::Vae => config_schema::<vae::VaeTraining>(),
            Self::Vit => config_schema::<vit::VitTraining>(),
            Self::Amg | Self::Sft => config_schema::<supervised::SupervisedTraining>(),
            Self::Grpo => config_schema::<grpo::GrpoTraining>(),
        }
    }

    /// All keys of the configuration, for `--help`.
    fn help(self) -> String {
        train_help::keys(&self.schema())
    }
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
                train(&stage, &parameters)
            }
            StageArgs::Amg(args) | StageArgs::Sft(args) => {
                let config: supervised::SupervisedTraining = read_yaml(&args.config)?;
                let (stage, parameters) = supervised::SupervisedStage::new(&config)?;
                train(&stage, &parameters)
            }
            StageArgs::Grpo(args) => {
                let config: grpo::GrpoTraining = read_yaml(&args.config)?;
                let (stage, parameters) = grpo::GrpoStage::new(&config)?;
                train(&stage, &parameters)
            }
            StageArgs::Schema(args) => output::print_json(&args.stage.schema()),
            StageArgs::Vit(args) => {
                let config: vit::VitTraining = read_yaml(&args.config)?;
                let (stage, parameters) = vit::VitStage::new(&config)?;
                train(&stage, &parameters)
            }
        }
    }
}

/// Run a stage with its log, its progress and Ctrl-C.
fn train(stage: &impl Stage, parameters: &Parameters) -> Result<()> {
    let config = stage.run_config();
    let cancel = batch::stop_on_interrupt()?;
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
    let outcome = run(stage, parameters, &cancel, |line| {
        let written = write_line(&mut log, line, bar.as_ref());
        if let Err(why) = written {
            failed = Some(Error::io(&log_file, why));
            cancel.cancel();
        }
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match (outcome, failed) {
        (_, Some(error)) => return Err(error),
        (RunOutcome::Finished(checkpoint), None) => {
            note(&format!("done: {}", checkpoint.display()));
        }
        (RunOutcome::Stopped(checkpoint), None) => note(&format!(
            "stopped; the same command continues from {}",
            checkpoint.display()
        )),
    }
    Ok(())
}

/// A bar on a terminal, at the step to go on from.
fn bar(steps: usize, from: usize) -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let template = "{bar:30} {pos}/{len} {msg} {eta} left";
        progress::bar(steps, template).with_position(from as u64)
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
