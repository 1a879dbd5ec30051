//! The model at work: one thread owns it, takes one request at a time and tells its news on channels.

mod cache_test;
mod frame;
mod model_thread;
mod queue;
mod request;
mod runner;
mod shared;
mod stamps;
mod worker;

pub use cache_test::{CACHE_TOLERANCE, CacheTest};
pub use cooper_model::reasoning::Settings;
pub use frame::{Frame, LatestFrame};
pub use request::{Event, FrameSource, Priority, Request};
pub use runner::{LoadedModel, ModelInfo, ModelRunner, Task, TaskResult};
pub use shared::{State, WorkerStatus};
pub use stamps::StampBuffer;
pub use worker::Worker;
