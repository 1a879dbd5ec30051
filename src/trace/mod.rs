//! Traces: a folder that holds all that a question's answer follows from and all that came of it, to be asked again.

mod folder;
mod query;
mod record;
mod recorder;
mod replay;

pub use folder::{Recorded, read, write};
pub use query::{Ended, Query};
pub use record::{ImageRecord, MapRecord, ModelRecord, Seconds, Trace};
pub use recorder::{Limits, Recorder, RecorderStatus};
pub use replay::differences;
