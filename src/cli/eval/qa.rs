//! `cooper eval qa`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cooper_model::engine::Cancel;
use cooper_model::model::ModelConfig;
use cooper_model::reasoning::answers::LengthRule;
use cooper_model::reasoning::{DEFAULT_MAX_TURNS, Mode, Status, Transcript};
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{LoadedModel, ModelRunner, Settings, Task, TaskResult};
use cooper_train::evaluation::qa::{
    Answered, Extracted, Judge, QaItem, QaRow, QaSet, mode_name, qa_report, score,
};
use cooper_train::training::RgbdFiles;
use image::RgbImage;
use serde_json::json;

use super::super::batch;
use super::super::model::{ModelArgs, SamplingArgs, at_least};
use super::super::verdict::Verdict;
use super::judge::JudgeArgs;
use super::output::{OutputArgs, write_case, write_words};
use super::record::record;
use super::source::{SampleArgs, SceneArgs};
use super::work;

/// Measure answers to questions about images, every mode side by side
#[derive(Debug, Args)]
pub(super) struct QaArgs {
    /// JSON lines with image, question, answer (and kind, choices, value, unit, type), a .tsv as VLMEvalKit has them, or
    /// RGB-D files with labels as training reads them (a folder, or JSON lines with rgb_image, depth_image, labels_image):
    /// about these it asks what follows from depth and labels
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Where images lie that are named by paths [default: beside the file]
    #[arg(long, value_name = "DIR", requires = "data")]
    images: Option<PathBuf>,
    /// Questions about each scene or RGB-D image, at most; one of each kind in turn
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 8)]
    per_scene: usize,
    /// How questions are answered; differences are to the first
    #[arg(long, value_name = "MODES", value_delimiter = ',', value_parser = mode,
          default_value = "direct,text,perception,interleaved")]
    modes: Vec<Mode>,
    /// Turns before the model must have answered
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = DEFAULT_MAX_TURNS)]
    max_turns: usize,
    /// A file with the words in which every question is asked; {question} stands for the question
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// When a length scores [default: factor-2 for .tsv, else within-25]
    #[arg(long, value_enum)]
    lengths: Option<LengthName>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    scenes: SceneArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    judge: JudgeArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LengthName {
    /// Off by at most a quarter of the truth
    #[value(name = "within-25")]
    Within25,
    /// Less than twice, more than half the truth (Q-SpatialBench)
    #[value(name = "factor-2")]
    Factor2,
}

fn mode(text: &str) -> std::result::Result<Mode, String> {
    let modes = [
        Mode::Direct,
        Mode::Text,
        Mode::Perception,
        Mode::Interleaved,
    ];
    modes
        .into_iter()
        .find(|mode| mode_name(*mode) == text.trim())
        .ok_or_else(|| "expected direct, text, perception or interleaved".into())
}

impl QaArgs {
    /// Measure, print, write.
    pub(super) fn run(self) -> Result<Verdict> {
        let modes = self.modes()?;
        let set = self.set()?;
        let judge = self.judge.judge()?;
        self.output.prepare()?;
        let settings =
            self.model
                .answer_settings(&self.sampling, Mode::default(), self.max_turns)?;
        let mut respondent = Respondent {
            model: self.model.load()?,
            settings,
            cancel: batch::stop_on_interrupt()?,
            modes: modes.clone(),
            rule: self.rule(),
            judge,
            shown: None,
        };
        let done = work::each(
            self.samples.limited(set.items.len()),
            set.broken.clone(),
            &respondent.cancel.clone(),
            |i| set.items[i].name.clone(),
            |i| respondent.row(&set, i),
        )?;
        let mut report = qa_report(&done.rows, &modes, &self.samples.bootstrap());
        report.notes.push(match respondent.rule {
            LengthRule::Within25 => "A length scores if it is off by at most 25 %.".into(),
            LengthRule::Factor2 => "A length scores within a factor of 2.".into(),
        });
        // Nothing has to be asked again, so an interrupt does not matter.
        let shown = self
            .output
            .write_cases(&done, QaRow::quality, |dir, name, row, _| {
                write_qa_case(dir, name, &set.image(row.image_idx)?, row)
            })?;
        let info = respondent.model.info();
        let mut record = record(&self.model, &info, &respondent.settings)?;
        let settings = &respondent.settings;
        record["settings"]["sampling"] = json!(settings.sampling);
        record["settings"]["max_turns"] = json!(settings.max_turns);
        record["data"] = match &self.data {
            Some(path) => {
                json!({"path": path, "images": self.images, "per_scene": self.per_scene})
            }
            None => {
                let mut scenes = self.scenes.describe()?;
                scenes["per_scene"] = self.per_scene.into();
                scenes
            }
        };
        record["modes"] = json!(modes);
        record["lengths"] = json!(respondent.rule);
        record["template"] = json!(self.template);
        record["judge"] = self.judge.describe();
        record["bootstrap"] = json!(self.samples.bootstrap());
        self.output
            .write_report("qa", &report, record, &done, &shown)
    }

    /// Each mode once.
    fn modes(&self) -> Result<Vec<Mode>> {
        let mut modes: Vec<Mode> = Vec::new();
        for mode in &self.modes {
            if modes.contains(mode) {
                let why = format!("expected each mode once, got {} twice", mode_name(*mode));
                return Err(Error::invalid("--modes", why));
            }
            modes.push(*mode);
        }
        Ok(modes)
    }

    fn rule(&self) -> LengthRule {
        let is_tsv = |path: &PathBuf| {
            path.extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("tsv"))
        };
        match self.lengths {
            Some(LengthName::Within25) => LengthRule::Within25,
            Some(LengthName::Factor2) => LengthRule::Factor2,
            None if self.data.as_ref().is_some_and(is_tsv) => LengthRule::Factor2,
            None => LengthRule::Within25,
        }
    }

    fn set(&self) -> Result<QaSet> {
        let set = match &self.data {
            Some(path) if RgbdFiles::are_at(path) => {
                let dir = self.model.options()?.dir;
                let config = ModelConfig::load(&dir).map_err(|why| Error::weights(&dir, why))?;
                RgbdFiles::at(path).questions(&config, self.per_scene)?
            }
            Some(path) => QaSet::table(path, self.images.as_deref())?,
            None => QaSet::scenes(self.scenes.set()?, self.per_scene),
        };
        let Some(path) = &self.template else {
            return Ok(set);
        };
        let template = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        if !template.contains("{question}") {
            let why = "expected a text with {question} in it, got none such";
            return Err(Error::invalid(path.display().to_string(), why));
        }
        Ok(set.reworded(template.trim_end()))
    }
}

fn write_qa_case(dir: &Path, name: &str, image: &RgbImage, row: &QaRow) -> Result<()> {
    write_case(dir, name, image)?;
    let mut words = format!(
        "{} ({})\n\n{}\n\ntruth: {}\n",
        row.name, row.kind, row.question, row.truth
    );
    for answered in &row.answers {
        let Answered {
            mode,
            answer,
            text,
            score,
            ..
        } = answered;
        // Writing to a text cannot fail.
        let _ = write!(
            words,
            "\n{}: {answer}\nscore {}\n{text}\n",
            mode_name(*mode),
            score.value
        );
    }
    write_words(dir, name, &words)
}

/// The model with its settings, and who reads its answers.
struct Respondent {
    model: LoadedModel,
    settings: Settings,
    cancel: Cancel,
    modes: Vec<Mode>,
    rule: LengthRule,
    judge: Option<Judge>,
    /// The image of the question before: the next one is often about the same.
    shown: Option<(usize, RgbImage)>,
}

impl Respondent {
    /// Ask question `i` in every mode with the same seed.
    fn row(&mut self, set: &QaSet, i: usize) -> Result<QaRow> {
        let item = &set.items[i];
        let image = match self.shown.take() {
            Some((number, image)) if number == item.image_idx => image,
            _ => set.image(item.image_idx)?,
        };
        let seed = self.settings.seed.wrapping_add(i as u64);
        let modes = self.modes.clone().into_iter();
        let answers = modes
            .map(|mode| {
                let settings = Settings {
                    mode,
                    seed,
                    ..self.settings.clone()
                };
                self.answered(item, &image, &settings)
            })
            .collect::<Result<Vec<_>>>();
        self.shown = Some((item.image_idx, image));
        Ok(QaRow {
            name: item.name.clone(),
            image_idx: item.image_idx,
            kind: item.kind.clone(),
            question: item.question.clone(),
            truth: item.truth.text.clone(),
            answers: answers?,
        })
    }

    fn answered(
        &mut self,
        item: &QaItem,
        image: &RgbImage,
        settings: &Settings,
    ) -> Result<Answered> {
        let transcript = self.ask(item, image, settings)?;
        let by_rule = || Extracted::by_rules(&item.truth.form, &transcript.answer);
        let said = without_thoughts(transcript.text());
        let (extracted, judge_failure) = match &self.judge {
            Some(judge) if !said.is_empty() => match judge.read(item, said) {
                Ok(read) => (read, None),
                Err(why) => (by_rule(), Some(why)),
            },
            _ => (by_rule(), None),
        };
        Ok(Answered {
            mode: settings.mode,
            status: transcript.status,
            score: score(&item.truth, extracted.as_ref(), self.rule),
            n_maps: transcript.evidence.len(),
            seconds: transcript.timings.total.as_secs_f64(),
            judge_failure,
            text: transcript.text().to_owned(),
            answer: transcript.answer,
        })
    }

    fn ask(&mut self, item: &QaItem, image: &RgbImage, settings: &Settings) -> Result<Transcript> {
        let task = Task::Answer(item.question.clone());
        let mut control = batch::control(&self.cancel);
        let outcome = self
            .model
            .run_task(&image.into(), &task, settings, &mut control)?;
        match outcome {
            TaskResult::Answer(transcript) if transcript.status == Status::Canceled => {
                Err(Error::Canceled)
            }
            TaskResult::Answer(transcript) => Ok(transcript),
            _ => Err(Error::Internal("a question brought a map".into())),
        }
    }
}

/// What a judge gets to read: the last text as upstream scores it, answer tag or not.
fn without_thoughts(text: &str) -> &str {
    text.rsplit_once("</think>")
        .map_or(text, |(_, rest)| rest)
        .trim()
}
