//! Training: packed samples with their attention modes, and the two losses.
//!
//! So far the forward and backward pass of one packed sample, held against the reference's losses and gradients.
//! Model weights that are `candle_core::Var`s make every operation below choose its differentiable form.

mod losses;
mod packing;

pub use losses::{cross_entropy, flow_error};
pub use packing::{PackedSequence, SequenceBuilder, SplitMode};
