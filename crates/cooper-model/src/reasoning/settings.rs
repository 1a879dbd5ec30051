//! With what a request is carried out: the engine, its prompts, and settings in which nothing is left open.

use super::prompts::Prompts;
use super::transcript::Mode;
use crate::engine::{Engine, FlowParams, MapKind, SamplingParams};
use crate::perception::MapRequest;

/// The default of [`Settings::max_turns`].
pub const DEFAULT_MAX_TURNS: usize = 3;

/// An engine with the prompts that steer it.
#[derive(Clone, Copy, Debug)]
pub struct PromptedEngine<'a> {
    /// The network with its tokenizer.
    pub engine: &'a Engine,
    /// System prompts and instructions.
    pub prompts: &'a Prompts,
}

impl<'a> PromptedEngine<'a> {
    /// How a map is asked for in the words of these prompts.
    pub fn map_request(&self, kind: MapKind, settings: &'a Settings) -> MapRequest<'a> {
        MapRequest {
            instruction: self.prompts.instruction(kind),
            flow: &settings.flow,
            seed: settings.seed,
        }
    }
}

/// How one request is carried out. Whoever takes a request resolves defaults and overrides once; nothing below looks
/// for them elsewhere. With the image, the question and the model it decides the result.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How maps are drawn.
    pub flow: FlowParams,
    /// How text is written.
    pub sampling: SamplingParams,
    /// How questions are answered.
    pub mode: Mode,
    /// Turns before the model must have answered, from 1.
    pub max_turns: usize,
    /// One seed for all randomness of a request.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flow: FlowParams::default(),
            sampling: SamplingParams::default(),
            mode: Mode::default(),
            max_turns: DEFAULT_MAX_TURNS,
            seed: 0,
        }
    }
}
