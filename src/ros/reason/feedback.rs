//! Feedback: a message for each event, with text and progress collected for a few milliseconds.
//!
//! A small model writes a token in less than a millisecond, and ROS keeps only the last few messages for a client.

use std::time::Duration;

use cooper_imaging::FrameHeader;
use cooper_model::engine::{MapKind, Progress, Stage};
use cooper_perception::pipeline::Event;
use r2r::cooper_perception::action::Reason;

use crate::{codes, convert};

/// The time for which text and progress are collected.
pub const PERIOD: Duration = Duration::from_millis(5);

/// The state of a goal as its client knows it.
#[derive(Default)]
pub struct Feedback {
    header: FrameHeader,
    stage: u8,
    turn: u16,
    position: Option<usize>,
    /// Text and progress that were not sent yet.
    collected: Option<Reason::Feedback>,
}

impl Feedback {
    /// The messages to send now for an event: what was collected before it, and its own.
    pub fn messages(&mut self, event: Event) -> Vec<Reason::Feedback> {
        let message = match event {
            Event::Position(position) if self.position == Some(position) => None,
            Event::Position(position) => {
                self.position = Some(position);
                Some(Reason::Feedback {
                    queue_position: codes::count(position),
                    ..self.message()
                })
            }
            Event::Started(frame, _) => {
                self.header = frame.last().header.clone();
                None
            }
            Event::Progress(progress) => self.on_progress(progress),
            Event::Done(_) => None,
        };
        match message {
            Some(message) => self.take().into_iter().chain([message]).collect(),
            None => Vec::new(),
        }
    }

    /// The collected text and progress, to send now.
    pub fn take(&mut self) -> Option<Reason::Feedback> {
        self.collected.take()
    }

    fn collected(&mut self) -> &mut Reason::Feedback {
        let message = self.message();
        self.collected.get_or_insert(message)
    }

    fn on_progress(&mut self, progress: Progress) -> Option<Reason::Feedback> {
        match progress {
            Progress::Stage(stage, turn) => {
                self.stage = codes::stage_number(stage);
                self.turn = codes::turn_number(turn);
                Some(self.message())
            }
            Progress::Fraction(progress) => {
                self.collected().progress = progress;
                None
            }
            Progress::Text(text) => {
                let text_delta = convert::message_text(&text);
                self.collected().text_delta.push_str(&text_delta);
                None
            }
            Progress::Map(evidence) => Some(Reason::Feedback {
                stage: codes::stage_number(match evidence.kind {
                    MapKind::Depth => Stage::Depth,
                    MapKind::Segmentation => Stage::Segmentation,
                }),
                turn: codes::turn_number(evidence.turn),
                progress: 1.0,
                map: convert::rgb_image(&evidence.image, &self.header),
                ..Reason::Feedback::default()
            }),
        }
    }

    fn message(&self) -> Reason::Feedback {
        Reason::Feedback {
            stage: self.stage,
            turn: self.turn,
            ..Reason::Feedback::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_sent_once() {
        let mut feedback = Feedback::default();
        let first = feedback.messages(Event::Position(2)).remove(0);
        assert_eq!(
            (first.stage, first.queue_position),
            (Reason::Feedback::QUEUED as u8, 2)
        );
        assert!(feedback.messages(Event::Position(2)).is_empty());
    }

    #[test]
    fn text_has_its_stage_and_turn() {
        let mut feedback = Feedback::default();
        let mut send = |progress| feedback.messages(Event::Progress(progress));
        send(Progress::Stage(Stage::Thinking, 2));
        assert!(send(Progress::Text("a\0".into())).is_empty());
        assert!(send(Progress::Fraction(0.5)).is_empty());
        assert!(send(Progress::Text("b".into())).is_empty());
        let messages = send(Progress::Stage(Stage::Answering, 2));
        let [text, answering] = messages.as_slice() else {
            panic!("{messages:?}");
        };
        assert_eq!(
            (text.stage, text.turn, text.text_delta.as_str()),
            (2, 2, "a\u{fffd}b")
        );
        assert_eq!((text.progress, answering.stage), (0.5, 5));
        assert!(feedback.take().is_none());
    }
}
