//! Questions about images: where they come from, what was meant by an answer, and what it is worth.

mod extract;
mod item;
mod jsonl;
mod judge;
mod report;
mod scenes;
mod score;
mod tsv;

pub use extract::{Extracted, extract};
pub use item::{AnswerForm, ImageRef, QaItem, QaSet, Truth};
pub use judge::{Judge, JudgeOptions};
pub use report::{Answered, QaRow, mode_name, qa_report};
pub use score::{LengthRule, NumberScores, Score, mean_relative_accuracy, score};
