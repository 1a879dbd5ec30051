//! Rectified flow, free of any network: when to step, how to step, how to combine guided velocities, which to forecast.

mod euler;
mod guidance;
mod schedule;
mod step_cache;

pub use euler::sample;
pub use guidance::{Guidance, Renorm, Velocities};
pub use schedule::Schedule;
pub use step_cache::{Step, StepCache, relative_error};
