//! The feedback of `~/reason`: a message for each piece of news, but that words and progress wait for each other.
//!
//! A small model writes a token in less than a millisecond, and ROS keeps only the last few messages for a client.

use std::time::Duration;

use cooper_imaging::FrameHeader;
use cooper_model::engine::{MapKind, Progress, Stage};
use cooper_perception::pipeline::Event;
use r2r::cooper_perception::action::Reason;

use super::{codes, convert};

/// What of the last feedback still holds.
#[derive(Default)]
pub struct Feedback {
    header: FrameHeader,
    stage: u8,
    turn: u16,
    position: Option<usize>,
    /// Words and progress that were not told yet.
    held: Option<Reason::Feedback>,
}

/// Words and progress are told at most once in this time.
pub const PACE: Duration = Duration::from_millis(5);

impl Feedback {
    /// The messages to send now for an event: what was held, if the event comes after it, and its own.
    pub fn of(&mut self, event: Event) -> Vec<Reason::Feedback> {
        let message = match event {
            Event::Position(position) if self.position == Some(position) => None,
            Event::Position(position) => {
                self.position = Some(position);
                let queue_position = u32::try_from(position).unwrap_or(u32::MAX);
                Some(Reason::Feedback {
                    queue_position,
                    ..self.message()
                })
            }
            Event::Started(frame, _) => {
                self.header = frame.last().header.clone();
                None
            }
            Event::Progress(progress) => self.of_progress(progress),
            Event::Done(_) => None,
        };
        match message {
            Some(message) => self.release().into_iter().chain([message]).collect(),
            None => Vec::new(),
        }
    }

    /// What is held; the pace allows to send it.
    pub fn release(&mut self) -> Option<Reason::Feedback> {
        self.held.take()
    }

    fn hold(&mut self) -> &mut Reason::Feedback {
        let message = self.message();
        self.held.get_or_insert(message)
    }

    fn of_progress(&mut self, progress: Progress) -> Option<Reason::Feedback> {
        match progress {
            Progress::Stage(stage, turn) => {
                self.stage = codes::stage_number(stage);
                self.turn = turn_number(turn);
                Some(self.message())
            }
            Progress::Fraction(progress) => {
                self.hold().progress = progress;
                None
            }
            Progress::Text(text) => {
                let text_delta = convert::message_text(&text);
                self.hold().text_delta.push_str(&text_delta);
                None
            }
            Progress::Map(evidence) => Some(Reason::Feedback {
                stage: codes::stage_number(match evidence.kind {
                    MapKind::Depth => Stage::Depth,
                    MapKind::Segmentation => Stage::Segmentation,
                }),
                turn: turn_number(evidence.turn),
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

/// A turn's number in messages: counted from 1, 0 before the first, as in the engine.
pub fn turn_number(turn: usize) -> u16 {
    u16::try_from(turn).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_told_once() {
        let mut feedback = Feedback::default();
        let first = feedback.of(Event::Position(2)).remove(0);
        assert_eq!(
            (first.stage, first.queue_position),
            (Reason::Feedback::QUEUED as u8, 2)
        );
        assert!(feedback.of(Event::Position(2)).is_empty());
    }

    #[test]
    fn text_comes_with_its_stage_and_turn() {
        let mut feedback = Feedback::default();
        let mut tell = |progress| feedback.of(Event::Progress(progress));
        tell(Progress::Stage(Stage::Thinking, 2));
        assert!(tell(Progress::Text("a\0".into())).is_empty());
        assert!(tell(Progress::Fraction(0.5)).is_empty());
        assert!(tell(Progress::Text("b".into())).is_empty());
        let told = tell(Progress::Stage(Stage::Answering, 2));
        let [text, answering] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(
            (text.stage, text.turn, text.text_delta.as_str()),
            (2, 2, "a\u{fffd}b")
        );
        assert_eq!((text.progress, answering.stage), (0.5, 5));
        assert!(feedback.release().is_none());
    }
}
