//! The action `~/reason`: `goal` runs a goal from its request to its result, `feedback` streams what happens on the way,
//! `result` makes the result message of each end.

mod feedback;
mod goal;
mod result;

pub use goal::serve;
