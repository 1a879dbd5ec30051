//! Answering a question, in four modes.
//!
//! Source: COOPER `inferencer.py`: `interleave_reason_tool_condition`, `image_reason_tool_condition`, `text_reason`.

use std::time::{Duration, Instant};

use super::budget::Ahead;
use super::prompts::Prompts;
use super::settings::Settings;
use super::studio::Studio;
use super::transcript::{Mode, Status, Timings, Transcript};
use super::turn::{Step, parse_turn, short_answer};
use crate::engine::{
    Control, Engine, KvContext, MapKind, Noise, Pictures, Progress, SamplingParams, Speech, Stage,
};
use crate::error::{Error, Result};

/// The longest question.
pub const MAX_QUESTION_CHARS: usize = 8192;

/// A question about a picture or several.
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
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    /// How it writes.
    pub params: &'a SamplingParams,
    /// Of the conversation; each turn has its own random numbers.
    pub seed: u64,
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

/// Answer `question` about a picture or several. No answer, a broken turn and a stop are outcomes, not errors.
///
/// # Errors
/// [`Error::InvalidInput`] for an empty question or no turns; otherwise if the network fails.
pub fn answer<'p>(
    engine: &Engine,
    prompts: &Prompts,
    pictures: impl Into<Pictures<'p>>,
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
        pictures,
        question,
        settings,
        control,
    )
}

/// Answer with another speaker or other noise.
///
/// # Errors
/// As [`answer`].
pub fn answer_with<'p>(
    speaker: &mut dyn Speaker,
    studio: &mut Studio,
    pictures: impl Into<Pictures<'p>>,
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
    let mode = question.mode.unwrap_or(settings.mode);
    let opened = studio.open(mode, pictures, &question.text, control);
    let conversation = Conversation::new(speaker, studio, control);
    conversation.told(opened, max_turns, started)
}

/// Answer in a studio that was opened for a question before: many answers may follow one opening, each on a
/// [`Studio::fork`].
///
/// # Errors
/// [`Error::Internal`] if the studio is not open; otherwise if the network fails.
pub fn answer_opened(
    speaker: &mut dyn Speaker,
    studio: &mut Studio,
    max_turns: usize,
    control: &mut Control,
) -> Result<Transcript> {
    Conversation::new(speaker, studio, control).told(Ok(()), max_turns, Instant::now())
}

type Ended = (Status, String);

struct Conversation<'a, 'e, 'c> {
    studio: &'a mut Studio<'e>,
    speaker: &'a mut dyn Speaker,
    control: &'a mut Control<'c>,
    turns: Vec<String>,
    ids: Vec<Vec<u32>>,
    turn_times: Vec<Duration>,
}

impl<'a, 'e, 'c> Conversation<'a, 'e, 'c> {
    fn new(
        speaker: &'a mut dyn Speaker,
        studio: &'a mut Studio<'e>,
        control: &'a mut Control<'c>,
    ) -> Self {
        Self {
            studio,
            speaker,
            control,
            turns: Vec::new(),
            ids: Vec::new(),
            turn_times: Vec::new(),
        }
    }

    /// All turns after the opening, and what came out.
    fn told(
        mut self,
        opened: Result<()>,
        max_turns: usize,
        started: Instant,
    ) -> Result<Transcript> {
        let ended = opened.and_then(|()| match self.studio.opened()?.mode {
            Mode::Interleaved => self.interleaved(max_turns),
            Mode::Perception => self.perception(),
            Mode::Text => self.text(true),
            Mode::Direct => self.text(false),
        });
        let (status, answer) = match ended {
            Ok(ended) => ended,
            Err(Error::Canceled) => (Status::Canceled, String::new()),
            Err(Error::ContextFull { .. }) if !self.turns.is_empty() => {
                (Status::Truncated, String::new())
            }
            Err(error) => return Err(error),
        };
        let (maps, total) = (self.studio.drawing_time, started.elapsed());
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
            evidence: std::mem::take(&mut self.studio.evidence),
        })
    }

    /// COOPER's loop: the model decides in each turn whether to draw, and looks at what it drew.
    fn interleaved(&mut self, max_turns: usize) -> Result<Ended> {
        for turn in 1..=max_turns {
            let speech = self.speak(turn, Stage::Thinking)?;
            match parse_turn(&speech.text) {
                // Also if it was stopped behind its answer.
                Step::Answer(content) => return Ok((Status::Answered, short_answer(&content))),
                _ if speech.canceled => return Err(Error::Canceled),
                // A tool call in the last turn is never carried out.
                _ if turn == max_turns => return Ok((unanswered(&speech), String::new())),
                Step::Draw(kind, tag) => {
                    self.studio.remember_turn(&speech, &tag)?;
                    // Each turn but the last may bring a map.
                    let (maps, texts) = (max_turns - turn, max_turns - turn);
                    let ahead = Ahead { maps, texts };
                    self.studio.draw(kind, turn, ahead, self.control)?;
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
    fn perception(&mut self) -> Result<Ended> {
        const OPENING: &str = "<answer>";
        for (kind, maps) in [(MapKind::Depth, 2), (MapKind::Segmentation, 1)] {
            self.studio.remember_instruction(kind)?;
            let ahead = Ahead { maps, texts: 1 };
            self.studio.draw(kind, 0, ahead, self.control)?;
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
    fn text(&mut self, thinking: bool) -> Result<Ended> {
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
        self.turn_times.push(started.elapsed());
        self.turns.push(speech.text.clone());
        self.ids.push(speech.ids.clone());
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
