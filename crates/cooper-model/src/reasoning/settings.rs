//! How the model works where a question says nothing else.

use super::transcript::Mode;
use crate::engine::{FlowParams, SamplingParams};

/// How the model works where a question says nothing else; each request carries the settings of its moment.
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
            max_turns: 3,
            seed: 0,
        }
    }
}
