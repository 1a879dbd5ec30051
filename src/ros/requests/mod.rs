//! The way of a request from a message's fields to the model and back, the same for services, the action and the
//! continuous maps: `fields` reads it, `submit` queues it, `completion` waits for its end, `answer` publishes a
//! question's answer.

mod answer;
mod completion;
mod fields;
mod submit;

pub use answer::{MapImages, PendingQuestion, evidence};
pub use completion::{Completed, Execution, completion, into_transcript, lost, wrong_result};
pub use fields::{ClientRequest, read_sample_count};
pub use submit::{Accepted, Caller};
