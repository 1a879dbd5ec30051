//! Questions about images: where they come from, and what an answer is worth. Answers are read by
//! [`cooper_model::reasoning::answers`].

mod item;
mod jsonl;
mod judge;
mod report;
mod scenes;
mod score;
mod source;
mod tsv;

pub use item::{ImageRef, QaItem, QaSet};
pub use judge::{Judge, JudgeOptions};
pub use report::{Answered, QaRow, mode_name, qa_report};
pub use score::{Extracted, NumberScores, Score, score};
