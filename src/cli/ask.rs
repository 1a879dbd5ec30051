//! `cooper ask`: a question about an image, its answer, and the trace of how the model found it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use cooper_imaging::FrameHeader;
use cooper_model::engine::Cancel;
use cooper_model::reasoning::{DEFAULT_MAX_TURNS, Mode, Status, Transcript};
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Frame, LoadedModel, ModelRunner, Settings};
use cooper_perception::trace;
use cooper_perception::trace::{Ended, Query, Trace};

use super::model::{ModelArgs, SamplingArgs, at_least, positive};
use super::output;
use super::progress::{TextOutput, count, note, printable};
use super::task::TaskRun;

/// Ask a question about an image, or about several
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// The image, PNG or JPEG
    image: PathBuf,
    /// The question
    question: String,
    /// Another image, read behind the first; may be given several times
    #[arg(long, value_name = "IMAGE")]
    further: Vec<PathBuf>,
    /// How it is answered
    #[arg(long, value_enum, default_value_t = ModeName::Interleaved)]
    mode: ModeName,
    /// Turns before the model must have answered
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = DEFAULT_MAX_TURNS)]
    max_turns: usize,
    /// Seconds for the answer, loading not counted: maps get fewer steps where they would take longer, and what there
    /// is by then comes back
    #[arg(long, value_name = "S", value_parser = positive)]
    time_budget: Option<f64>,
    /// Write everything that `cooper replay` needs into this folder: images, turns, maps, prompts, trace.json
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
    /// Ask, then print the answer and write the trace.
    pub(super) fn run(self) -> Result<()> {
        if self.question.trim().is_empty() {
            return Err(Error::invalid("question", "expected some text, got none"));
        }
        let frame = Arc::new(self.frame()?);
        if let Some(dir) = &self.trace {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let mut model = self.model.load()?;
        let settings =
            self.model
                .answer_settings(&self.sampling, self.mode.into(), self.max_turns)?;
        let task_run = TaskRun {
            settings: &settings,
            cancel: &self.deadline(&mut model, &settings)?,
            text: match self.json {
                true => TextOutput::Silent,
                false => TextOutput::Streamed,
            },
        };
        let transcript = task_run.ask(&mut model, &frame, &self.question)?;
        let query = Query {
            ended: match transcript.status {
                // Nothing else cancels it.
                Status::Canceled => Ended::Deadline,
                status => status.into(),
            },
            transcript: Some(transcript),
            error: None,
            frame,
            question: self.question.clone(),
            settings,
            model: model.info(),
            queued: Duration::ZERO,
        };
        self.report(&query)
    }

    /// Cancels the answer when its time budget is spent. The budget needs the model's speed, so it warms up first.
    fn deadline(&self, model: &mut LoadedModel, settings: &Settings) -> Result<Cancel> {
        let Some(budget) = self.time_budget else {
            return Ok(Cancel::default());
        };
        model.warm_up(settings, &Cancel::default())?;
        if let Some(remark) = model.info().cache_remark() {
            note(&remark);
        }
        let budget = Duration::try_from_secs_f64(budget).unwrap_or(Duration::MAX);
        let deadline = Instant::now().checked_add(budget);
        Ok(deadline.map_or_else(Cancel::default, Cancel::at))
    }

    /// The images.
    fn frame(&self) -> Result<Frame> {
        let frame = |path: &PathBuf| -> Result<Frame> {
            let image = cooper_imaging::load_rgb(path)?;
            Ok(Frame::new("", FrameHeader::default(), image))
        };
        let first = frame(&self.image)?;
        let further = self.further.iter().map(|path| frame(path).map(Arc::new));
        Ok(Frame {
            further: further.collect::<Result<_>>()?,
            ..first
        })
    }

    fn report(&self, query: &Query) -> Result<()> {
        let mut trace = Trace::of(query);
        let paths = std::iter::once(&self.image).chain(&self.further);
        for (image, path) in trace.images.iter_mut().zip(paths) {
            image.path = Some(path.display().to_string());
        }
        if self.json {
            output::print_json(&trace)?;
        } else if let Some(transcript) = &query.transcript {
            output::print(&self.last_line(transcript))?;
        }
        // After the answer: a trace that cannot be written does not hide it.
        if let Some(dir) = &self.trace {
            trace::write(dir, query, &trace)?;
            note(&format!("trace: {}", dir.display()));
        }
        Ok(())
    }

    fn last_line(&self, transcript: &Transcript) -> String {
        match transcript.status {
            Status::Answered => format!("answer: {}\n", printable(&transcript.answer)),
            Status::NoAnswer => format!("no answer within {}\n", count(self.max_turns, "turn")),
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
        }
    }
}
