//! The feedback of `~/reason`: a message for each piece of news.

use r2r::cooper_perception::action::Reason;

use super::codes;
use super::convert;
use crate::engine::MapKind;
use crate::engine::Progress;
use crate::engine::Stage;
use crate::pipeline::Event;
use crate::pipeline::FrameHeader;

/// What of the last feedback still holds.
#[derive(Default)]
pub struct Feedback {
    header: FrameHeader,
    stage: u8,
    turn: u16,
    position: Option<usize>,
}

impl Feedback {
    /// The message that an event makes, if it brings any news.
    pub fn of(&mut self, event: Event) -> Option<Reason::Feedback> {
        match event {
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
                self.header = frame.header.clone();
                None
            }
            Event::Progress(progress) => Some(self.of_progress(progress)),
            Event::Done(_) => None,
        }
    }

    fn of_progress(&mut self, progress: Progress) -> Reason::Feedback {
        match progress {
            Progress::Stage(stage, turn) => {
                self.stage = codes::stage_number(stage);
                self.turn = turn_number(turn);
                self.message()
            }
            Progress::Fraction(progress) => Reason::Feedback {
                progress,
                ..self.message()
            },
            Progress::Text(text) => {
                let text_delta = convert::message_text(&text);
                Reason::Feedback {
                    text_delta,
                    ..self.message()
                }
            }
            Progress::Map(evidence) => Reason::Feedback {
                stage: codes::stage_number(match evidence.kind {
                    MapKind::Depth => Stage::Depth,
                    MapKind::Segmentation => Stage::Segmentation,
                }),
                turn: turn_number(evidence.turn),
                progress: 1.0,
                map: convert::rgb_image(&evidence.image, &self.header),
                ..Reason::Feedback::default()
            },
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
        let first = feedback.of(Event::Position(2)).unwrap();
        assert_eq!(
            (first.stage, first.queue_position),
            (Reason::Feedback::QUEUED as u8, 2)
        );
        assert!(feedback.of(Event::Position(2)).is_none());
    }

    #[test]
    fn text_comes_with_its_stage_and_turn() {
        let mut feedback = Feedback::default();
        feedback
            .of(Event::Progress(Progress::Stage(Stage::Thinking, 2)))
            .unwrap();
        let text = feedback
            .of(Event::Progress(Progress::Text("a\0b".into())))
            .unwrap();
        assert_eq!(
            (text.stage, text.turn, text.text_delta.as_str()),
            (2, 2, "a\u{fffd}b")
        );
    }
}
