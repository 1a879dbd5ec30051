//! Rollouts: a question is opened once, and each answer of its group goes on from a fork.

use cooper_model::Result;
use cooper_model::engine::{Control, Engine, Generation, KvContext, Noise, Views};
use cooper_model::model::Tokenizer;
use cooper_model::reasoning::{
    GenerationContexts, PromptedEngine, Prompts, Settings, TextGenerator, Transcript, answer_opened,
};

use super::questions::Asked;
use crate::training::sample::{Part, Visibility};

/// How a question is opened for its group.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The texts around the question.
    pub prompts: &'a Prompts,
    /// How answers are generated; the mode is `Interleaved` or `Text`.
    pub settings: &'a Settings,
}

impl<'a> Opening<'a> {
    /// Read system prompt, image and question; `seed` is of the image's latents.
    ///
    /// # Errors
    /// [`cooper_model::Error::ContextFull`] if the question is too long.
    pub fn read(
        &self,
        engine: &'a Engine,
        asked: &Asked,
        seed: u64,
    ) -> Result<GenerationContexts<'a>> {
        let prompts = self.prompts;
        let model = PromptedEngine { engine, prompts };
        let mut contexts = GenerationContexts::new(model, self.settings, Noise::seeded(seed));
        let mut control = Control::unattended();
        contexts.open(&*asked.image, &asked.question, &mut control)?;
        Ok(contexts)
    }

    /// What was read, as the trunk of a training sample.
    pub fn parts(&self, asked: &Asked) -> Vec<Part> {
        let (system, views) = self.prompts.opening(self.settings.mode);
        let system = system.map(Part::prompt);
        let rest = [Part::read(&asked.image, views), Part::user(&asked.question)];
        system.into_iter().chain(rest).collect()
    }
}

/// One answer: what was sampled, and its transcript.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The turns as sampled ids.
    pub generations: Vec<Generation>,
    /// The turns as texts, the maps, and the answer.
    pub transcript: Transcript,
}

/// Answer on a fork of contexts that have read the question; `seed` is of the maps' noise.
///
/// # Errors
/// If the network fails.
pub fn roll_out(
    contexts: &GenerationContexts,
    generator: &mut dyn TextGenerator,
    max_turns: usize,
    seed: u64,
) -> Result<Rollout> {
    let mut contexts = contexts.fork(Noise::seeded(seed), seed);
    let mut recorder = Recorder {
        generator,
        generations: Vec::new(),
    };
    let mut control = Control::unattended();
    let transcript = answer_opened(&mut recorder, &mut contexts, max_turns, &mut control)?;
    Ok(Rollout {
        generations: recorder.generations,
        transcript,
    })
}

/// Keeps what a generator writes.
struct Recorder<'a> {
    generator: &'a mut dyn TextGenerator,
    generations: Vec<Generation>,
}

impl TextGenerator for Recorder<'_> {
    fn generate(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        control: &mut Control,
    ) -> Result<Generation> {
        let generation = self.generator.generate(engine, context, turn, control)?;
        // Its context would hold the memory of all that was read.
        self.generations.push(Generation {
            context: None,
            ..generation.clone()
        });
        Ok(generation)
    }

    fn repeats_itself(&self) -> bool {
        self.generator.repeats_itself()
    }
}

impl Rollout {
    /// Tokens that were sampled: without start tokens, with the end tokens.
    pub fn n_tokens(&self) -> usize {
        self.generations.iter().map(n_sampled).sum()
    }

    /// Whether a turn reached the token limit.
    pub fn is_cut(&self) -> bool {
        self.generations.iter().any(|generation| !generation.ended)
    }

    /// The answer as a branch of a training sample: each sampled token carries a loss and attends to what it attended to
    /// when it was sampled. A turn that a map followed was read again as text. Where that gave other ids, both are there:
    /// the sampled ones aside, and what was read for the turns behind it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn parts(&self, tokenizer: &Tokenizer, prompts: &Prompts) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for (turn, generation) in (1..).zip(&self.generations) {
            let n_labels = n_sampled(generation);
            let written = sampled(generation, tokenizer);
            let maps = &self.transcript.evidence;
            let map = maps.iter().find(|map| map.turn == turn);
            let Some(map) = map.filter(|_| turn < self.generations.len()) else {
                parts.push(aside(written, n_labels));
                continue;
            };
            let read = as_read(&generation.text, tokenizer)?;
            let same = read.starts_with(&written);
            if !same {
                parts.push(aside(written, n_labels));
            }
            parts.extend([
                Part::Ids {
                    ids: read,
                    n_labels: if same { n_labels } else { 0 },
                    visibility: Visibility::Context,
                },
                Part::read(&map.image, Views::Vit),
                Part::prompt(&prompts.reflection),
            ]);
        }
        Ok(parts)
    }
}

fn aside(ids: Vec<u32>, n_labels: usize) -> Part {
    Part::Ids {
        ids,
        n_labels,
        visibility: Visibility::Aside,
    }
}

fn n_sampled(generation: &Generation) -> usize {
    generation.ids.len().saturating_sub(1) + usize::from(generation.ended)
}

/// The start token and all that was sampled.
fn sampled(generation: &Generation, tokenizer: &Tokenizer) -> Vec<u32> {
    let end = generation.ended.then_some(tokenizer.control.im_end);
    generation.ids.iter().copied().chain(end).collect()
}

/// The ids of a turn's text in the context of the turns behind it.
fn as_read(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let mut ids = vec![tokenizer.control.im_start];
    ids.extend(tokenizer.encode(text)?);
    ids.push(tokenizer.control.im_end);
    Ok(ids)
}
