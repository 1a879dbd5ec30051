//! Questions: the four ways to answer one, the tags of the model's turns, transcripts, and what answers say.

mod answer;
pub mod answers;
mod budget;
mod contexts;
mod prompts;
mod settings;
mod transcript;
mod turn;

pub use answer::{MAX_QUESTION_CHARS, Sampler, TextGenerator, answer, answer_opened, answer_with};
pub use contexts::GenerationContexts;
pub use prompts::{PlacePrompts, Prompts};
pub use settings::{DEFAULT_MAX_TURNS, PromptedEngine, Settings};
pub use transcript::{Mode, Status, Timings, Transcript};
pub use turn::{Step, parse_turn, short_answer, tag_name};
