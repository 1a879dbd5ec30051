//! Rectified flow, free of any network: when to step, how to step, how to combine guided velocities.

mod euler;
mod guidance;
mod schedule;

pub use euler::sample;
pub use guidance::{Guidance, Renorm, Velocities};
pub use schedule::Schedule;
