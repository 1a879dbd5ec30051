//! Text generation, token by token, on a fork of the context.
//!
//! Source: BAGEL `modeling/bagel/bagel.py`, `generate_text`, and COOPER's cut of the logits to the tokenizer.

use candle_transformers::generation::{LogitsProcessor, Sampling};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::control::{Control, Progress};
use super::speed::Part;
use crate::error::{Error, Result};
use crate::model::KvContext;

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct SamplingParams {
    /// Tokens of one text at most, from 1.
    pub max_new_tokens: usize,
    /// 0 is greedy: the argmax of the logits; higher is more random.
    pub temperature: f64,
    /// Sample from the most probable tokens that hold this share of probability, (0, 1].
    pub top_p: f64,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 2048,
            temperature: 0.0,
            top_p: 1.0,
        }
    }
}

impl SamplingParams {
    /// None for greedy decoding.
    fn processor(&self, seed: u64) -> Option<LogitsProcessor> {
        if self.temperature <= 0.0 {
            return None;
        }
        let temperature = self.temperature.max(1e-6);
        let sampling = if self.top_p < 1.0 {
            let p = self.top_p.max(1e-8);
            Sampling::TopP { p, temperature }
        } else {
            Sampling::All { temperature }
        };
        Some(LogitsProcessor::from_sampling(seed, sampling))
    }
}

/// A generated text.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    /// The ids, the start token first, the end token not among them.
    pub ids: Vec<u32>,
    /// The text between start and end token.
    pub text: String,
    /// Whether the model ended it by itself, not the token limit or a stop.
    pub ended: bool,
    /// Whether somebody stopped it.
    pub canceled: bool,
    /// The context after generation: with those of `ids` whose keys and values it holds; see [`Engine::prefill_turn`].
    pub context: Option<KvContext>,
}

/// Contexts are not compared: they follow from the rest.
impl PartialEq for Generation {
    fn eq(&self, other: &Self) -> bool {
        let outcome = |s: &Self| (s.ended, s.canceled);
        self.ids == other.ids && self.text == other.text && outcome(self) == outcome(other)
    }
}

impl Eq for Generation {}

impl Engine {
    /// Generate a text after `context`, which stays as it is; a stop returns what there is.
    ///
    /// # Errors
    /// If the network fails.
    pub fn generate_text(
        &self,
        context: &KvContext,
        sampling: &SamplingParams,
        seed: u64,
        control: &mut Control,
    ) -> Result<Generation> {
        let mut context = context.clone();
        let mut processor = sampling.processor(seed);
        let end = self.tokenizer.control.im_end;
        let mut generation = Generation::default();
        let mut stream = TextStream::default();
        let mut next = self.tokenizer.control.im_start;
        loop {
            generation.ids.push(next);
            if let Some(delta) = stream.push(self, &generation.ids)? {
                control.report(Progress::Text(delta));
            }
            let n_new = generation.ids.len() - 1;
            control.report(Progress::Fraction(
                n_new as f32 / sampling.max_new_tokens as f32,
            ));
            if n_new >= sampling.max_new_tokens || context.len() >= self.max_tokens() {
                break;
            }
            if control.check().is_err() {
                generation.canceled = true;
                break;
            }
            let write = || -> Result<u32> {
                let hidden = self.model.prefill_tokens(&mut context, &[next])?;
                let n_known = self.tokenizer.len();
                let Some(processor) = &mut processor else {
                    return Ok(self.model.argmax_token(&hidden, n_known)?);
                };
                let logits = self.model.next_logits(&hidden)?;
                Ok(processor.sample(&logits.narrow(0, 0, n_known)?)?)
            };
            next = self.timed(Part::Token, |_| 1, write)?;
            self.note(|work| work.text_tokens += 1);
            if next == end {
                generation.ended = true;
                break;
            }
        }
        if let Some(delta) = stream.flush(self, &generation.ids)? {
            control.report(Progress::Text(delta));
        }
        if !generation.canceled {
            self.measure(|speed| speed.note_text(generation.ids.len()));
        }
        generation.text = turn_text(&self.tokenizer.decode(&generation.ids)?);
        generation.context = Some(context);
        Ok(generation)
    }

    /// Read `text`, which is that of `generation` or begins like it, into the context in which it was generated. Keys and
    /// values of the generation are reused as far as the ids of both agree.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if it does not fit; otherwise if the network fails.
    pub fn prefill_turn(
        &self,
        context: &mut KvContext,
        text: &str,
        generation: &Generation,
    ) -> Result<()> {
        let control = self.tokenizer.control;
        let mut ids = vec![control.im_start];
        ids.extend(self.tokenizer.encode(text)?);
        ids.push(control.im_end);
        let (needed, limit) = (context.len() + ids.len(), self.max_tokens());
        if needed > limit {
            return Err(Error::ContextFull { limit, needed });
        }
        let mut n_known = 0;
        if let Some(generated) = &generation.context {
            let n_read = generated.len().saturating_sub(context.len());
            let pairs = ids.iter().zip(&generation.ids).take(n_read);
            n_known = pairs.take_while(|(id, generated)| id == generated).count();
            *context = generated.cut(context.len() + n_known);
        }
        let rest = ids.get(n_known..).unwrap_or_default();
        self.model.prefill_tokens(context, rest)?;
        self.note(|work| work.text_tokens += rest.len() as u64);
        Ok(())
    }
}

/// The text behind the first start token, up to an end token or another start token.
fn turn_text(decoded: &str) -> String {
    let until_end = decoded.split("<|im_end|>").next().unwrap_or_default();
    until_end
        .split("<|im_start|>")
        .nth(1)
        .unwrap_or_default()
        .to_string()
}

/// Decodes ids as they come, holding back a character until all its bytes are there: the pieces join to the text.
#[derive(Default)]
struct TextStream {
    /// Ids whose text was reported, the start token among them.
    n_reported: usize,
    ended: bool,
}

impl TextStream {
    fn push(&mut self, engine: &Engine, ids: &[u32]) -> Result<Option<String>> {
        if self.ended || ids.len() == 1 {
            self.n_reported = ids.len();
            return Ok(None);
        }
        if let Some((last, before)) = ids.split_last()
            && *last == engine.tokenizer.control.im_start
        {
            // A second start token ends the text (see `turn_text`).
            let rest = self.flush(engine, before);
            self.ended = true;
            return rest;
        }
        let delta = engine.tokenizer.decode(&ids[self.n_reported..])?;
        if delta.is_empty() || delta.ends_with('\u{fffd}') {
            return Ok(None);
        }
        self.n_reported = ids.len();
        Ok(Some(delta))
    }

    /// What was held back, when nothing more will come.
    fn flush(&mut self, engine: &Engine, ids: &[u32]) -> Result<Option<String>> {
        if self.ended {
            return Ok(None);
        }
        let rest = engine.tokenizer.decode(&ids[self.n_reported..])?;
        self.n_reported = ids.len();
        Ok((!rest.is_empty()).then_some(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_an_end_token_or_a_second_start() {
        assert_eq!(turn_text("<|im_start|> a b<|im_end|>c"), " a b");
        assert_eq!(turn_text("<|im_start|>a<|im_start|>b"), "a");
        assert_eq!(turn_text(""), "");
    }
}
