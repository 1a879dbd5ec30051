//! `cooper replay`: a question asked again with the settings of its trace, and the differences.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use cooper_imaging::FrameHeader;
use cooper_model::engine::{Cancel, DeviceChoice, DtypeChoice, ModelOptions};
use cooper_model::reasoning::Transcript;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Frame, LoadedModel, ModelRunner, Settings};
use cooper_perception::trace;
use cooper_perception::trace::{ModelRecord, Recorded, Trace};
use image::RgbImage;
use serde_json::{Value, json};

use super::output;
use super::progress::{TextOutput, count, note, printable};
use super::task::TaskRun;
use super::verdict::Verdict;

/// Ask a traced question again and compare words and maps; exit code 1 if anything is not the same
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A folder that `cooper ask --trace` or the node (trace.dir) has written
    trace: PathBuf,
    /// Model directory [default: the trace's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Transformer weights [default: the trace's; with --model, those in its directory]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// auto, cpu or cuda:N [default: the trace's]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// auto, f32, bf16 or f16 [default: the trace's]
    #[arg(long)]
    dtype: Option<DtypeChoice>,
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
}

impl ReplayArgs {
    /// Ask again, compare, print the differences; bad if there are any.
    pub(super) fn run(self) -> Result<Verdict> {
        let recorded = trace::read(&self.trace)?;
        let options = self.options(&recorded.trace.model)?;
        note(&format!("loading {}", options.dir.display()));
        let mut model = LoadedModel::load(&options, Some(&recorded.prompts))?;
        let model_differences =
            model_differences(&recorded.trace.model, &ModelRecord::of(&model.info()));
        for difference in &model_differences {
            note(&format!("not as recorded: {difference}"));
        }
        let task_run = TaskRun {
            settings: &settings(&recorded.trace),
            cancel: &Cancel::default(),
            text: TextOutput::Silent,
        };
        let transcript = task_run.ask(&mut model, &frame(&recorded)?, &recorded.trace.question)?;
        let comparison = Comparison {
            differences: trace::differences(&recorded, &transcript),
            model_differences,
            trace: &recorded.trace,
            transcript: &transcript,
        };
        if self.json {
            output::print_json(&comparison.json(&self.trace))?;
        } else {
            output::print(&comparison.to_string())?;
        }
        Ok(Verdict::good_if(comparison.differences.is_empty()))
    }

    fn options(&self, model: &ModelRecord) -> Result<ModelOptions> {
        let device = &model.device;
        let (dtype, quantization) = model
            .dtype
            .split_once('+')
            .unwrap_or((&model.dtype, "none"));
        Ok(ModelOptions {
            dir: self.model.clone().unwrap_or_else(|| (&model.dir).into()),
            weights: match (&self.weights, &self.model) {
                (Some(weights), _) => Some(weights.clone()),
                (None, Some(_)) => None,
                (None, None) => Some((&model.identity.weights).into()),
            },
            device: self
                .device
                .map_or_else(|| recorded(device, "--device"), Ok)?,
            dtype: self.dtype.map_or_else(|| recorded(dtype, "--dtype"), Ok)?,
            quantization: recorded(quantization, "--dtype")?,
            ignores_memory: false,
        })
    }
}

/// A recorded question and the same question asked again.
struct Comparison<'a> {
    trace: &'a Trace,
    transcript: &'a Transcript,
    differences: Vec<String>,
    /// Between the recorded model and the one that answered now.
    model_differences: Vec<String>,
}

impl Comparison<'_> {
    fn json(&self, folder: &Path) -> Value {
        json!({
            "trace": folder,
            "same": self.differences.is_empty(),
            "differences": self.differences,
            "not_as_recorded": self.model_differences,
            "turns": self.trace.turns.len(),
            "maps": self.trace.evidence.len(),
            "status": self.transcript.status,
            "answer": self.transcript.answer,
            "seconds": self.transcript.timings.total.as_secs_f64(),
        })
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.differences.is_empty() {
            let turns = count(self.trace.turns.len(), "turn");
            let maps = count(self.trace.evidence.len(), "map");
            let until = match self.trace.status.is_stopped() {
                true => ", as far as it went before it was stopped",
                false => "",
            };
            return writeln!(f, "the same: {turns}, {maps}{until}");
        }
        for difference in &self.differences {
            writeln!(f, "different: {}", printable(difference))?;
        }
        Ok(())
    }
}

/// The settings that give the recorded result again.
fn settings(trace: &Trace) -> Settings {
    let mut settings = trace.settings();
    // A time budget may have given maps fewer steps than were set.
    let steps: BTreeSet<usize> = trace.evidence.iter().map(|map| map.steps).collect();
    if let (Some(steps), 1) = (steps.first(), steps.len()) {
        settings.flow.time_points = steps + 1;
    }
    // A node that had turned the step cache off after its self-test computed every step.
    let mut maps = trace.evidence.iter();
    if maps.all(|map| map.steps_computed == Some(map.steps)) {
        settings.flow = settings.flow.exact();
    }
    settings
}

/// The value of a trace where no flag overrides it.
fn recorded<T: FromStr<Err = String>>(text: &str, flag: &str) -> Result<T> {
    text.parse().map_err(|why| {
        // Read as: the trace's `cuda:x`: expected …
        Error::invalid(
            format!("the trace's `{text}`"),
            format!("expected what {flag} takes: {why}"),
        )
    })
}

/// How the model that answers now differs from the recorded one; its path may differ.
fn model_differences(was: &ModelRecord, is: &ModelRecord) -> Vec<String> {
    let (a, b) = (&was.identity, &is.identity);
    let pairs = [
        ("device", &was.device, &is.device),
        ("dtype", &was.dtype, &is.dtype),
        (
            "weights_sample_sha256",
            &a.weights_sample_sha256,
            &b.weights_sample_sha256,
        ),
        ("configs_sha256", &a.configs_sha256, &b.configs_sha256),
    ];
    let different = pairs.into_iter().filter(|(_, was, is)| was != is);
    different
        .map(|(field, was, is)| format!("model {field}: expected {was}, got {is}"))
        .collect()
}

fn frame(recorded: &Recorded) -> Result<Frame> {
    let frame = |image: &RgbImage| Frame::new("", FrameHeader::default(), image.clone());
    Frame::of_all(recorded.images.iter().map(frame))
        .ok_or_else(|| Error::Internal("a trace without an image".into()))
}
