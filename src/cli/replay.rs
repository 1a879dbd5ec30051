//! `cooper replay`: a question asked again as its trace says, and what is not the same.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use cooper_imaging::FrameHeader;
use cooper_model::engine::{Cancel, DeviceChoice, DtypeChoice, ModelOptions};
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Frame, LoadedModel, ModelRunner};
use cooper_perception::trace;
use cooper_perception::trace::{ModelRecord, Recorded};
use serde_json::json;

use super::ask::ask;
use super::output;
use super::progress::{Words, note, printable};
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
    /// Ask again, compare, tell.
    pub(super) fn run(self) -> Result<Verdict> {
        let recorded = trace::read(&self.trace)?;
        let options = self.options(&recorded.trace.model)?;
        note(&format!("loading {}", options.dir.display()));
        let mut model = LoadedModel::load(&options, Some(&recorded.prompts))?;
        let others = other_model(&recorded.trace.model, &ModelRecord::of(&model.info()));
        for other in &others {
            note(&format!("not as recorded: {other}"));
        }
        let (question, mut settings) = (recorded.trace.question(), recorded.trace.settings());
        // A time budget may have given maps fewer steps than were set.
        let steps: BTreeSet<usize> = recorded
            .trace
            .evidence
            .iter()
            .map(|map| map.steps)
            .collect();
        if let (Some(steps), 1) = (steps.first(), steps.len()) {
            settings.flow.time_points = steps + 1;
        }
        // A node whose self-test had turned the step cache off computed them all.
        let mut maps = recorded.trace.evidence.iter();
        if maps.all(|map| map.steps_computed == Some(map.steps)) {
            settings.flow = settings.flow.exact();
        }
        let frame = frame_of(&recorded)?;
        let cancel = Cancel::default();
        let now = ask(
            &mut model,
            &frame,
            &question,
            &settings,
            &cancel,
            Words::Silent,
        )?;
        let differences = trace::differences(&recorded, &now);
        let trace = &recorded.trace;
        let (n_turns, n_maps) = (trace.turns.len(), trace.evidence.len());
        if self.json {
            output::print_json(&json!({
                "trace": self.trace,
                "same": differences.is_empty(),
                "differences": differences,
                "not_as_recorded": others,
                "turns": n_turns,
                "maps": n_maps,
                "status": now.status,
                "answer": now.answer,
                "seconds": now.timings.total.as_secs_f64(),
            }))?;
        } else if differences.is_empty() {
            let until = if trace.status.is_stopped() {
                ", as far as it went before it was stopped"
            } else {
                ""
            };
            output::print(&format!(
                "the same: {n_turns} turns, {n_maps} maps{until}\n"
            ))?;
        } else {
            for difference in &differences {
                output::print(&format!("different: {}\n", printable(difference)))?;
            }
        }
        Ok(if differences.is_empty() {
            Verdict::Good
        } else {
            Verdict::Bad
        })
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

/// What a trace says, where no flag says something else.
fn recorded<T: FromStr<Err = String>>(text: &str, flag: &str) -> Result<T> {
    text.parse().map_err(|why| {
        // Read as: the trace's `cuda:x`: expected …
        Error::invalid(
            format!("the trace's `{text}`"),
            format!("expected what {flag} takes: {why}"),
        )
    })
}

/// In what the model that answers now is another one, its place aside.
fn other_model(was: &ModelRecord, is: &ModelRecord) -> Vec<String> {
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
    let others = pairs.into_iter().filter(|(_, was, is)| was != is);
    others
        .map(|(field, was, is)| format!("model {field}: expected {was}, got {is}"))
        .collect()
}

fn frame_of(recorded: &Recorded) -> Result<Frame> {
    let frame = |image: &image::RgbImage| Frame::new("", FrameHeader::default(), image.clone());
    let frame = Frame::of_all(recorded.images.iter().map(frame));
    frame.ok_or_else(|| Error::Internal("a trace without an image".into()))
}
