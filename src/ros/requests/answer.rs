//! A question's answer: published on its topic and as a marker, and recorded as a trace.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use cooper_model::Error;
use cooper_model::engine::Evidence;
use cooper_model::reasoning::Transcript;
use cooper_perception::pipeline::{Frame, Settings};
use cooper_perception::trace::Query;
use r2r::cooper_perception::msg::{Answer, Evidence as EvidenceMsg, Picture, Timings};
use r2r::sensor_msgs::msg::Image;

use super::completion::Execution;
use crate::shared::Shared;
use crate::{codes, convert};

/// A question without its answer.
pub struct PendingQuestion {
    /// The fields of [`Answer`] that are known by now.
    pub answer: Answer,
    /// The question as put to the model.
    pub question: String,
    /// How it is answered.
    pub settings: Settings,
    /// When it came in.
    pub received: Instant,
}

impl Shared {
    /// Publish a question's answer and record its trace; the published answer.
    pub fn publish_answer(
        &self,
        pending: PendingQuestion,
        execution: &Execution,
        status: u8,
        result: std::result::Result<&Transcript, &Error>,
    ) -> Answer {
        let transcript = result.ok();
        let mut answer = pending.answer;
        answer.header = convert::std_header(&execution.header());
        answer.status = status;
        answer.timings = timings(transcript, execution.queued, pending.received.elapsed());
        if let Some(frame) = &execution.frame {
            answer.pictures = frame.all().map(source_image).collect();
            answer.evidence = evidence(transcript, frame, MapImages::HeaderOnly);
        }
        if let Some(transcript) = transcript {
            answer.answer = convert::message_text(&transcript.answer);
            answer.text = convert::message_text(transcript.text());
        }
        self.markers.show_answer(&answer);
        let publisher = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = publisher.publish(&answer) {
            tracing::warn!("cannot publish an answer: {error}");
        }
        drop(publisher);
        if let (Some(frame), true) = (&execution.frame, self.recorder.is_on()) {
            self.recorder.record(Query {
                frame: frame.clone(),
                question: pending.question,
                settings: pending.settings,
                model: self.worker.status().model,
                ended: codes::ended(status),
                error: result.err().map(Error::to_string),
                transcript: transcript.cloned(),
                queued: execution.queued,
            });
        }
        answer
    }
}

/// Where the time went, as far as it is known.
fn timings(transcript: Option<&Transcript>, queued: Duration, total: Duration) -> Timings {
    let outside = Timings {
        queue_s: queued.as_secs_f64(),
        total_s: total.as_secs_f64(),
        ..Timings::default()
    };
    let Some(Transcript { ids, timings, .. }) = transcript else {
        return outside;
    };
    // The start token is not generated.
    let n_generated = |ids: &Vec<u32>| codes::count(ids.len().saturating_sub(1));
    Timings {
        prefill_s: timings.prefill.as_secs_f64(),
        text_s: timings.text.as_secs_f64(),
        maps_s: timings.maps.as_secs_f64(),
        turn_s: timings.turns.iter().map(Duration::as_secs_f64).collect(),
        turn_tokens: ids.iter().map(n_generated).collect(),
        ..outside
    }
}

/// An image of a question.
fn source_image(frame: &Frame) -> Picture {
    Picture {
        header: convert::std_header(&frame.header),
        camera: frame.camera.clone(),
        width: frame.image.width(),
        height: frame.image.height(),
        sha256: cooper_imaging::sha256(&frame.image),
    }
}

/// How much of its image each map of an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapImages {
    /// All pixels.
    Full,
    /// None, only the header.
    HeaderOnly,
}

/// The maps of a question about `frame`.
pub fn evidence(
    transcript: Option<&Transcript>,
    frame: &Frame,
    images: MapImages,
) -> Vec<EvidenceMsg> {
    let maps = transcript.map_or(&[][..], |transcript| &transcript.evidence);
    let header = &frame.last().header;
    let message = |map: &Evidence| EvidenceMsg {
        kind: codes::kind_number(map.kind),
        turn: codes::turn_number(map.turn),
        image: match images {
            MapImages::Full => convert::rgb_image(&map.image, header),
            MapImages::HeaderOnly => Image {
                header: convert::std_header(header),
                ..Image::default()
            },
        },
        seed: codes::seed_number(map.seed),
        steps: codes::count(map.steps),
        picture: u16::try_from(map.image_idx).unwrap_or(u16::MAX),
        duration_s: map.took.as_secs_f64(),
    };
    maps.iter().map(message).collect()
}
