//! `cooper ask`: a question about a picture, its answer, and the trace of how the model came to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::maps::perceive;
use super::model::ModelArgs;
use super::model::SamplingArgs;
use super::model::at_least;
use super::model::flow_json;
use super::model::positive;
use super::model::sampling_json;
use super::output;
use super::progress::Words;
use super::progress::note;
use super::progress::printable;
use crate::engine::Cancel;
use crate::engine::Evidence;
use crate::engine::MapKind;
use crate::error::Error;
use crate::error::Result;
use crate::imaging;
use crate::pipeline::ModelInfo;
use crate::pipeline::Outcome;
use crate::pipeline::Perceive;
use crate::pipeline::Perceiver;
use crate::pipeline::Settings;
use crate::pipeline::Work;
use crate::reasoning::Mode;
use crate::reasoning::Question;
use crate::reasoning::Status;
use crate::reasoning::Transcript;

/// Ask a question about a picture
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// The picture, PNG or JPEG
    image: PathBuf,
    /// The question
    question: String,
    /// How it is answered
    #[arg(long, value_enum, default_value_t = ModeName::Interleaved)]
    mode: ModeName,
    /// Turns before the model must have answered
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 3)]
    max_turns: usize,
    /// Seconds for the answer, loading not counted: maps get fewer steps where they would take longer, and what there
    /// is by then comes back
    #[arg(long, value_name = "S", value_parser = positive)]
    time_budget: Option<f64>,
    /// Write every turn's text, every map and trace.json into this folder
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeName {
    /// The model decides in turns whether to draw a map, and looks at it
    Interleaved,
    /// Think in text, then answer
    Text,
    /// Draw both maps first, then answer from them
    Perception,
    /// Answer at once
    Direct,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Interleaved => Self::Interleaved,
            ModeName::Text => Self::Text,
            ModeName::Perception => Self::Perception,
            ModeName::Direct => Self::Direct,
        }
    }
}

impl AskArgs {
    /// Ask, and print or write what came of it.
    pub(super) fn run(self) -> Result<()> {
        if self.question.trim().is_empty() {
            return Err(Error::invalid("question", "expected some text, got none"));
        }
        let image = imaging::load_rgb(&self.image)?;
        if let Some(dir) = &self.trace {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let mut model = self.model.load()?;
        let text = (&self.sampling, self.mode.into(), self.max_turns);
        let settings = self.model.settings(Some(text))?;
        let words = if self.json {
            Words::Silent
        } else {
            Words::Streamed
        };
        let work = Work::Answer(Question {
            text: self.question.clone(),
            mode: None,
            seed: None,
            max_turns: None,
        });
        let cancel = self.switch(&mut model, &settings)?;
        let outcome = perceive(&mut model, &image, &work, &settings, &cancel, words)?;
        let Outcome::Answer(transcript) = outcome else {
            return Err(Error::Internal("a question brought a map".into()));
        };
        let mut trace = describe(&transcript, &settings, &model.info());
        trace["time_budget"] = json!(self.time_budget);
        if transcript.status == Status::Canceled {
            // Nothing else stops it.
            trace["status"] = json!("DEADLINE");
        }
        self.tell(&transcript, trace, image.dimensions())
    }

    /// What stops the answer when its time is spent. How fast the model is must be known before.
    fn switch(&self, model: &mut Perceiver, settings: &Settings) -> Result<Cancel> {
        let Some(budget) = self.time_budget else {
            return Ok(Cancel::default());
        };
        model.warm_up(settings)?;
        let budget = Duration::try_from_secs_f64(budget).unwrap_or(Duration::MAX);
        let deadline = Instant::now().checked_add(budget);
        Ok(deadline.map_or_else(Cancel::default, Cancel::at))
    }

    fn tell(&self, transcript: &Transcript, mut trace: Value, size: (u32, u32)) -> Result<()> {
        trace["question"] = json!(self.question);
        trace["image"] = json!({"path": self.image, "width": size.0, "height": size.1});
        if let Some(dir) = &self.trace {
            write_trace(dir, transcript, &trace)?;
            note(&format!("trace: {}", dir.display()));
        }
        if self.json {
            return output::print_json(&trace);
        }
        output::print(&match transcript.status {
            Status::Answered => format!("answer: {}\n", printable(&transcript.answer)),
            Status::NoAnswer => format!("no answer within {} turns\n", self.max_turns),
            Status::Truncated if !transcript.answer.is_empty() => format!(
                "answer, cut off (--max-new-tokens allows more): {}\n",
                printable(&transcript.answer)
            ),
            Status::Truncated => {
                "no answer: a turn reached its limit; raise it with --max-new-tokens\n".into()
            }
            Status::Canceled => {
                "no answer: the time budget was spent; --time-budget allows more\n".into()
            }
        })
    }
}

/// Everything that would be needed to ask again, and everything that came of it.
fn describe(transcript: &Transcript, settings: &Settings, model: &ModelInfo) -> Value {
    let timings = &transcript.timings;
    let evidence = transcript.evidence.iter().enumerate().map(|(n, map)| {
        json!({
            "kind": kind(map), "turn": map.turn, "steps": map.steps, "seed": map.seed,
            "width": map.image.width(), "height": map.image.height(), "file": map_file(n, map),
        })
    });
    json!({
        "status": transcript.status,
        "answer": transcript.answer,
        "text": transcript.text(),
        "turns": transcript.turns,
        "evidence": evidence.collect::<Vec<_>>(),
        "mode": settings.mode,
        "max_turns": settings.max_turns,
        "seed": settings.seed,
        "flow": flow_json(&settings.flow),
        "sampling": sampling_json(&settings.sampling),
        "model": {
            "dir": model.dir, "device": model.device, "dtype": model.dtype,
            "memory_bytes": model.memory_bytes,
        },
        "seconds": {
            "prefill": timings.prefill.as_secs_f64(), "text": timings.text.as_secs_f64(),
            "maps": timings.maps.as_secs_f64(), "total": timings.total.as_secs_f64(),
        },
    })
}

fn write_trace(dir: &Path, transcript: &Transcript, trace: &Value) -> Result<()> {
    for (n, turn) in transcript.turns.iter().enumerate() {
        output::write(&dir.join(format!("turn_{}.txt", n + 1)), turn.as_bytes())?;
    }
    for (n, map) in transcript.evidence.iter().enumerate() {
        output::write_rgb_png(&dir.join(map_file(n, map)), &map.image)?;
    }
    // Last: where it lies, everything it names lies too.
    output::write_json(&dir.join("trace.json"), trace)
}

fn map_file(n: usize, map: &Evidence) -> String {
    format!("map_{}_{}.png", n + 1, kind(map))
}

fn kind(map: &Evidence) -> &'static str {
    match map.kind {
        MapKind::Depth => "depth",
        MapKind::Segmentation => "segmentation",
    }
}
