//! Answering a question, in four modes.
//!
//! Source: COOPER `inferencer.py`: `interleave_reason_tool_condition`, `image_reason_tool_condition`, `text_reason`.

use std::time::{Duration, Instant};

use super::budget::BudgetPlan;
use super::contexts::GenerationContexts;
use super::settings::{PromptedEngine, Settings};
use super::transcript::{Mode, Status, Timings, Transcript};
use super::turn::{Step, parse_turn, short_answer};
use crate::engine::{
    Control, Engine, Generation, Images, KvContext, MapKind, Noise, Progress, SamplingParams, Stage,
};
use crate::error::{Error, Result};

/// The longest question.
pub const MAX_QUESTION_CHARS: usize = 8192;

/// What generates the turns: the model, or a script in tests.
pub trait TextGenerator {
    /// Generate the text that follows `context`; `turn` counts from 1.
    ///
    /// # Errors
    /// If the network fails.
    fn generate(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        control: &mut Control,
    ) -> Result<Generation>;

    /// Whether it generates the same text again after the same context.
    fn repeats_itself(&self) -> bool;
}

/// The model itself.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    /// Temperature, top-p, length.
    pub params: &'a SamplingParams,
    /// Turn `n` draws from `seed + n`.
    pub seed: u64,
}

impl TextGenerator for Sampler<'_> {
    fn generate(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        control: &mut Control,
    ) -> Result<Generation> {
        let seed = self.seed.wrapping_add(turn as u64);
        engine.generate_text(context, self.params, seed, control)
    }

    fn repeats_itself(&self) -> bool {
        self.params.temperature <= 0.0
    }
}

/// Answer `question` about one or several images. No answer, a broken turn and a stop are statuses, not errors.
///
/// ```
/// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
/// use cooper_model::{Cooper, image};
/// use cooper_model::engine::{Control, Images};
/// use cooper_model::reasoning::{Mode, Settings, answer};
///
/// let cooper = Cooper::open(dir.as_ref())?;
/// let [left, right] = [60, 200].map(|grey| image::RgbImage::from_pixel(128, 96, image::Rgb([grey; 3])));
/// let settings = Settings {
///     mode: Mode::Direct,
///     ..cooper.settings.clone()
/// };
/// let (images, control) = (Images::new(&left, [&right]), &mut Control::unattended());
/// let transcript = answer(cooper.model(), images, "Which image is brighter?", &settings, control)?;
/// println!("{}: {}", transcript.status, transcript.answer);
/// # Ok::<(), cooper_model::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidInput`] for an empty question or no turns; otherwise if the network fails.
pub fn answer<'p>(
    model: PromptedEngine,
    images: impl Into<Images<'p>>,
    question: &str,
    settings: &Settings,
    control: &mut Control,
) -> Result<Transcript> {
    let mut generator = Sampler {
        params: &settings.sampling,
        seed: settings.seed,
    };
    let noise = Noise::seeded(settings.seed);
    let mut contexts = GenerationContexts::new(model, settings, noise);
    answer_with(&mut generator, &mut contexts, images, question, control)
}

/// Answer with another generator or other noise, as the contexts' settings say.
///
/// # Errors
/// As [`answer`].
pub fn answer_with<'p>(
    generator: &mut dyn TextGenerator,
    contexts: &mut GenerationContexts,
    images: impl Into<Images<'p>>,
    question: &str,
    control: &mut Control,
) -> Result<Transcript> {
    if question.trim().is_empty() {
        return Err(Error::invalid("question", "expected words, got none"));
    }
    let n_chars = question.chars().count();
    if n_chars > MAX_QUESTION_CHARS {
        let why = format!("expected at most {MAX_QUESTION_CHARS} characters, got {n_chars}");
        return Err(Error::invalid("question", why));
    }
    let max_turns = contexts.settings.max_turns;
    if max_turns == 0 {
        return Err(Error::invalid("max_turns", "expected at least 1, got 0"));
    }
    let started = Instant::now();
    let opened = contexts.open(images, question, control);
    let conversation = Conversation::new(generator, contexts, control);
    conversation.run(opened, max_turns, started)
}

/// Answer in contexts that have read a question before: many answers may follow one opening, each on a
/// [`GenerationContexts::fork`].
///
/// # Errors
/// [`Error::Internal`] if the contexts have read no question; otherwise if the network fails.
pub fn answer_opened(
    generator: &mut dyn TextGenerator,
    contexts: &mut GenerationContexts,
    max_turns: usize,
    control: &mut Control,
) -> Result<Transcript> {
    let opened = contexts.check_open();
    Conversation::new(generator, contexts, control).run(opened, max_turns, Instant::now())
}

type Ended = (Status, String);

struct Conversation<'a, 'e, 'c> {
    contexts: &'a mut GenerationContexts<'e>,
    generator: &'a mut dyn TextGenerator,
    control: &'a mut Control<'c>,
    turns: Vec<String>,
    ids: Vec<Vec<u32>>,
    turn_times: Vec<Duration>,
}

impl<'a, 'e, 'c> Conversation<'a, 'e, 'c> {
    fn new(
        generator: &'a mut dyn TextGenerator,
        contexts: &'a mut GenerationContexts<'e>,
        control: &'a mut Control<'c>,
    ) -> Self {
        Self {
            contexts,
            generator,
            control,
            turns: Vec::new(),
            ids: Vec::new(),
            turn_times: Vec::new(),
        }
    }

    /// All turns after the opening.
    fn run(mut self, opened: Result<()>, max_turns: usize, started: Instant) -> Result<Transcript> {
        let ended = opened.and_then(|()| match self.contexts.settings.mode {
            Mode::Interleaved => self.interleaved(max_turns),
            Mode::Perception => self.perception(),
            Mode::Text => self.text(Stage::Thinking),
            Mode::Direct => self.text(Stage::Answering),
        });
        let (status, answer) = match ended {
            Ok(ended) => ended,
            Err(Error::Canceled) => (Status::Canceled, String::new()),
            Err(Error::ContextFull { .. }) if !self.turns.is_empty() => {
                (Status::Truncated, String::new())
            }
            Err(error) => return Err(error),
        };
        let (maps, total) = (self.contexts.drawing_time, started.elapsed());
        let text = self.turn_times.iter().sum();
        Ok(Transcript {
            status,
            answer,
            turns: self.turns,
            ids: self.ids,
            timings: Timings {
                prefill: total.saturating_sub(text + maps),
                text,
                maps,
                total,
                turns: self.turn_times,
            },
            evidence: std::mem::take(&mut self.contexts.evidence),
        })
    }

    /// COOPER's loop: the model decides in each turn whether to draw, and looks at what it drew.
    fn interleaved(&mut self, max_turns: usize) -> Result<Ended> {
        for turn in 1..=max_turns {
            let generation = self.generate(turn, Stage::Thinking, "")?;
            match parse_turn(&generation.text) {
                // Also if it was stopped behind its answer.
                Step::Answer(content) => return Ok((Status::Answered, short_answer(&content))),
                _ if generation.canceled => return Err(Error::Canceled),
                // A tool call in the last turn is never carried out.
                _ if turn == max_turns => {
                    return Ok((no_answer_status(&generation), String::new()));
                }
                Step::Draw(kind, tag) => {
                    self.contexts.prefill_turn(&generation, &tag)?;
                    // Each turn but the last may bring a map.
                    let (maps, texts) = (max_turns - turn, max_turns - turn);
                    let plan = BudgetPlan { maps, texts };
                    self.contexts.draw(kind, turn, plan, self.control)?;
                    self.contexts.prefill_reflection()?;
                }
                // The context has not changed: greedy decoding would generate the same text again.
                Step::Nothing if self.generator.repeats_itself() => {
                    return Ok((no_answer_status(&generation), String::new()));
                }
                Step::Nothing => {}
            }
        }
        Ok((Status::NoAnswer, String::new()))
    }

    /// Both maps first, then an answer without thoughts.
    fn perception(&mut self) -> Result<Ended> {
        const OPENING: &str = "<answer>";
        for (kind, maps) in [(MapKind::Depth, 2), (MapKind::Segmentation, 1)] {
            self.contexts.prefill_instruction(kind)?;
            let plan = BudgetPlan { maps, texts: 1 };
            self.contexts.draw(kind, 0, plan, self.control)?;
        }
        self.contexts.prefill_answer_opening(OPENING)?;
        let generation = self.generate(1, Stage::Answering, OPENING)?;
        let content = &generation.text[OPENING.len()..];
        match content.split_once("</answer>") {
            Some((content, _)) if !content.trim().is_empty() => {
                Ok((Status::Answered, short_answer(content)))
            }
            _ => Ok((
                generation_status(&generation, content),
                short_answer(content),
            )),
        }
    }

    /// One text, which begins with thoughts or is the answer.
    fn text(&mut self, stage: Stage) -> Result<Ended> {
        let generation = self.generate(1, stage, "")?;
        let content = match generation.text.rsplit_once("</think>") {
            Some((_, content)) => content,
            // Thoughts that were cut off hold no answer.
            None if stage == Stage::Thinking && !generation.ended => "",
            None => &generation.text,
        };
        Ok((
            generation_status(&generation, content),
            short_answer(content),
        ))
    }

    /// Generate a turn; an answer tag in the stream is reported as a stage of its own. The context ends with `opening`, which
    /// belongs to the turn's text.
    fn generate(&mut self, turn: usize, stage: Stage, opening: &str) -> Result<Generation> {
        let started = Instant::now();
        self.control.report(Progress::Stage(stage, turn));
        if !opening.is_empty() {
            self.control.report(Progress::Text(opening.into()));
        }
        let outer = &mut *self.control;
        let mut text = String::new();
        let mut answering = stage == Stage::Answering;
        let mut control = Control::new(outer.cancel().clone(), |progress| {
            if let Progress::Text(delta) = &progress {
                text.push_str(delta);
                if !answering && text.contains("<answer>") {
                    answering = true;
                    outer.report(Progress::Stage(Stage::Answering, turn));
                }
            }
            outer.report(progress);
        });
        let (engine, context) = (self.contexts.model.engine, &self.contexts.guided.full);
        let mut generation = self
            .generator
            .generate(engine, context, turn, &mut control)?;
        drop(control);
        generation.text.insert_str(0, opening);
        self.turn_times.push(started.elapsed());
        self.turns.push(generation.text.clone());
        self.ids.push(generation.ids.clone());
        Ok(generation)
    }
}

/// The status of a text that should have held an answer.
fn generation_status(generation: &Generation, content: &str) -> Status {
    if generation.canceled {
        Status::Canceled
    } else if !generation.ended {
        Status::Truncated
    } else if content.trim().is_empty() {
        Status::NoAnswer
    } else {
        Status::Answered
    }
}

/// The status of a turn without an answer behind which there is no other.
fn no_answer_status(generation: &Generation) -> Status {
    if generation.ended {
        Status::NoAnswer
    } else {
        Status::Truncated
    }
}
