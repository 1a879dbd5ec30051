//! Answering a question, in four modes.
//!
//! Source: COOPER `inferencer.py`: `interleave_reason_tool_condition`, `image_reason_tool_condition`, `text_reason`.

use std::time::{Duration, Instant};

use image::RgbImage;

use super::prompts::Prompts;
use super::settings::Settings;
use super::studio::Studio;
use super::transcript::{Mode, Status, Timings, Transcript};
use super::turn::{Step, parse_turn, short_answer};
use crate::engine::Control;
use crate::engine::Engine;
use crate::engine::KvContext;
use crate::engine::MapKind;
use crate::engine::Noise;
use crate::engine::Progress;
use crate::engine::SamplingParams;
use crate::engine::Speech;
use crate::engine::Stage;
use crate::engine::Views;
use crate::error::{Error, Result};

/// The longest question.
pub const MAX_QUESTION_CHARS: usize = 8192;

/// A question about a picture.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The user's words.
    pub text: String,
    /// Overrides the settings.
    pub mode: Option<Mode>,
    /// Overrides the settings.
    pub seed: Option<u64>,
    /// Overrides the settings; from 1.
    pub max_turns: Option<usize>,
}

impl Question {
    /// A question with nothing overridden.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// Who writes the turns: the model, or a script in tests.
pub trait Speaker {
    /// Write the text that follows `context`; `turn` counts from 1.
    ///
    /// # Errors
    /// If the network fails.
    fn speak(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        control: &mut Control,
    ) -> Result<Speech>;

    /// Whether it would write the same text again after the same context.
    fn repeats_itself(&self) -> bool;
}

/// The model as speaker.
struct Sampler<'a> {
    params: &'a SamplingParams,
    seed: u64,
}

impl Speaker for Sampler<'_> {
    fn speak(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        control: &mut Control,
    ) -> Result<Speech> {
        let seed = self.seed.wrapping_add(turn as u64);
        engine.write_text(context, self.params, seed, control)
    }

    fn repeats_itself(&self) -> bool {
        self.params.temperature <= 0.0
    }
}

/// Answer `question` about `picture`. No answer, a broken turn and a stop are outcomes, not errors.
///
/// # Errors
/// [`Error::InvalidInput`] for an empty question or no turns; otherwise if the network fails.
pub fn answer(
    engine: &Engine,
    prompts: &Prompts,
    picture: &RgbImage,
    question: &Question,
    settings: &Settings,
    control: &mut Control,
) -> Result<Transcript> {
    let seed = question.seed.unwrap_or(settings.seed);
    let mut speaker = Sampler {
        params: &settings.sampling,
        seed,
    };
    let mut studio = Studio::new(engine, prompts, &settings.flow, Noise::seeded(seed), seed);
    answer_with(
        &mut speaker,
        &mut studio,
        picture,
        question,
        settings,
        control,
    )
}

/// Answer with another speaker or other noise.
///
/// # Errors
/// As [`answer`].
pub fn answer_with(
    speaker: &mut dyn Speaker,
    studio: &mut Studio,
    picture: &RgbImage,
    question: &Question,
    settings: &Settings,
    control: &mut Control,
) -> Result<Transcript> {
    if question.text.trim().is_empty() {
        return Err(Error::invalid("question", "expected words, got none"));
    }
    let n_chars = question.text.chars().count();
    if n_chars > MAX_QUESTION_CHARS {
        let why = format!("expected at most {MAX_QUESTION_CHARS} characters, got {n_chars}");
        return Err(Error::invalid("question", why));
    }
    let max_turns = question.max_turns.unwrap_or(settings.max_turns);
    if max_turns == 0 {
        return Err(Error::invalid("max_turns", "expected at least 1, got 0"));
    }
    let started = Instant::now();
    let mut conversation = Conversation {
        studio,
        speaker,
        control,
        turns: Vec::new(),
        text_time: Duration::ZERO,
    };
    let picture = conversation.studio.engine.vae_rule().apply(picture);
    let ended = match question.mode.unwrap_or(settings.mode) {
        Mode::Interleaved => conversation.interleaved(&picture, &question.text, max_turns),
        Mode::Perception => conversation.perception(&picture, &question.text),
        Mode::Text => conversation.text(&picture, &question.text, true),
        Mode::Direct => conversation.text(&picture, &question.text, false),
    };
    let (status, answer) = match ended {
        Ok(ended) => ended,
        Err(Error::Canceled) => (Status::Canceled, String::new()),
        Err(Error::ContextFull { .. }) if !conversation.turns.is_empty() => {
            (Status::Truncated, String::new())
        }
        Err(error) => return Err(error),
    };
    let (turns, text) = (conversation.turns, conversation.text_time);
    let total = started.elapsed();
    Ok(Transcript {
        status,
        answer,
        turns,
        timings: Timings {
            prefill: total.saturating_sub(text + studio.drawing_time),
            text,
            maps: studio.drawing_time,
            total,
        },
        evidence: std::mem::take(&mut studio.evidence),
    })
}

type Ended = (Status, String);

struct Conversation<'a, 'e, 'c> {
    studio: &'a mut Studio<'e>,
    speaker: &'a mut dyn Speaker,
    control: &'a mut Control<'c>,
    turns: Vec<String>,
    text_time: Duration,
}

impl Conversation<'_, '_, '_> {
    /// COOPER's loop: the model decides in each turn whether to draw, and looks at what it drew.
    fn interleaved(
        &mut self,
        picture: &RgbImage,
        question: &str,
        max_turns: usize,
    ) -> Result<Ended> {
        let system = &self.studio.prompts.interleave_system;
        self.begin(Some(system), picture, Views::VaeAndVit, question)?;
        for turn in 1..=max_turns {
            let speech = self.speak(turn, Stage::Thinking)?;
            match parse_turn(&speech.text) {
                // Also if it was stopped behind its answer.
                Step::Answer(content) => return Ok((Status::Answered, short_answer(&content))),
                _ if speech.canceled => return Err(Error::Canceled),
                // A tool call in the last turn is never carried out.
                _ if turn == max_turns => return Ok((unanswered(&speech), String::new())),
                Step::Draw(kind, tag) => {
                    self.studio.remember_turn(&speech.text, &tag)?;
                    self.studio
                        .draw(kind, picture.dimensions(), turn, self.control)?;
                    self.studio.remember_reflection()?;
                }
                // The context stays as it was: greedy decoding would only write the same again.
                Step::Nothing if self.speaker.repeats_itself() => {
                    return Ok((unanswered(&speech), String::new()));
                }
                Step::Nothing => {}
            }
        }
        Ok((Status::NoAnswer, String::new()))
    }

    /// Both maps first, then an answer without thoughts.
    fn perception(&mut self, picture: &RgbImage, question: &str) -> Result<Ended> {
        const OPENING: &str = "<answer>";
        let system = &self.studio.prompts.perception_system;
        self.begin(Some(system), picture, Views::VaeAndVit, question)?;
        for kind in [MapKind::Depth, MapKind::Segmentation] {
            self.studio.remember_instruction(kind)?;
            self.studio
                .draw(kind, picture.dimensions(), 0, self.control)?;
        }
        self.studio.remember_opening(OPENING)?;
        let mut speech = self.speak(1, Stage::Answering)?;
        speech.text.insert_str(0, OPENING);
        if let Some(turn) = self.turns.last_mut() {
            turn.clone_from(&speech.text);
        }
        let content = &speech.text[OPENING.len()..];
        match content.split_once("</answer>") {
            Some((content, _)) if !content.trim().is_empty() => {
                Ok((Status::Answered, short_answer(content)))
            }
            _ => Ok((spoken_status(&speech, content), short_answer(content))),
        }
    }

    /// One text: thoughts first, or the answer at once.
    fn text(&mut self, picture: &RgbImage, question: &str, thinking: bool) -> Result<Ended> {
        let system = thinking.then_some(&self.studio.prompts.think_system);
        self.begin(system, picture, Views::Vit, question)?;
        let stage = if thinking {
            Stage::Thinking
        } else {
            Stage::Answering
        };
        let speech = self.speak(1, stage)?;
        let content = match speech.text.rsplit_once("</think>") {
            Some((_, content)) => content,
            // Thoughts that were cut off hold no answer.
            None if thinking && !speech.ended => "",
            None => &speech.text,
        };
        Ok((spoken_status(&speech, content), short_answer(content)))
    }

    fn begin(
        &mut self,
        system: Option<&String>,
        picture: &RgbImage,
        views: Views,
        question: &str,
    ) -> Result<()> {
        self.control.tell(Progress::Stage(Stage::Prefill, 0));
        self.control.check()?;
        let control = &*self.control;
        self.studio
            .read(system, picture, views, question, control)?;
        self.control.check()
    }

    /// Let the speaker write a turn; an answer tag in the stream is told as a stage of its own.
    fn speak(&mut self, turn: usize, stage: Stage) -> Result<Speech> {
        let started = Instant::now();
        self.control.tell(Progress::Stage(stage, turn));
        let outer = &mut *self.control;
        let mut text = String::new();
        let mut answering = stage == Stage::Answering;
        let mut control = Control::new(outer.cancel().clone(), |progress| {
            if let Progress::Text(delta) = &progress {
                text.push_str(delta);
                if !answering && text.contains("<answer>") {
                    answering = true;
                    outer.tell(Progress::Stage(Stage::Answering, turn));
                }
            }
            outer.tell(progress);
        });
        let (engine, context) = (self.studio.engine, &self.studio.contexts.full);
        let speech = self.speaker.speak(engine, context, turn, &mut control)?;
        drop(control);
        self.text_time += started.elapsed();
        self.turns.push(speech.text.clone());
        Ok(speech)
    }
}

/// The status of a text that should have held an answer.
fn spoken_status(speech: &Speech, content: &str) -> Status {
    if speech.canceled {
        Status::Canceled
    } else if !speech.ended {
        Status::Truncated
    } else if content.trim().is_empty() {
        Status::NoAnswer
    } else {
        Status::Answered
    }
}

fn unanswered(speech: &Speech) -> Status {
    if speech.ended {
        Status::NoAnswer
    } else {
        Status::Truncated
    }
}
