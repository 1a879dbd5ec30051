//! `cooper_perception/msg/Answer` in CDR, as the node publishes it.

use std::borrow::Cow;

use cooper_bag::{CdrWriter, Image, MessageType, schemas, write_header};
use cooper_imaging::{FrameHeader, sha256};
use cooper_model::engine::{Evidence, MapKind};
use cooper_model::reasoning::{Mode, Status};
use cooper_perception::pipeline::Frame;

/// `cooper_perception/msg/Answer`.
pub(super) const ANSWER: MessageType = MessageType {
    name: "cooper_perception/msg/Answer",
    definition: include_str!("../../../msg/Answer.msg"),
    parts: &[
        (
            "cooper_perception/Picture",
            include_str!("../../../msg/Picture.msg"),
        ),
        (
            "cooper_perception/Evidence",
            include_str!("../../../msg/Evidence.msg"),
        ),
        (
            "cooper_perception/Timings",
            include_str!("../../../msg/Timings.msg"),
        ),
        ("sensor_msgs/Image", schemas::IMAGE_DEFINITION),
        schemas::HEADER,
        schemas::TIME,
    ],
};

/// `cooper_perception/msg/Answer`, about one image. What it says of times is left at 0: the same input gives the same
/// bytes.
#[derive(Clone, Debug)]
pub(super) struct Answer<'a> {
    /// The image that the question was about.
    pub frame: &'a Frame,
    /// As asked.
    pub question: &'a str,
    /// The short answer, or nothing.
    pub answer: &'a str,
    /// The last turn.
    pub text: &'a str,
    /// How it was reasoned.
    pub mode: Mode,
    /// How it ended; `None` if it failed.
    pub status: Option<Status>,
    /// The seed that gives it again.
    pub seed: u64,
    /// The maps that were drawn.
    pub evidence: &'a [Evidence],
}

impl Answer<'_> {
    /// Write the message.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut cdr = CdrWriter::default();
        let Frame { camera, header, .. } = self.frame;
        write_header(&mut cdr, header);
        for text in [camera, self.question, self.answer, self.text] {
            cdr.string(text);
        }
        cdr.u8(mode_number(self.mode));
        cdr.u8(status_number(self.status));
        cdr.i64(seed_number(self.seed));
        cdr.u32(1);
        write_image(&mut cdr, self.frame);
        cdr.u32(count(self.evidence.len()));
        for map in self.evidence {
            write_evidence(&mut cdr, map, header);
        }
        write_no_timings(&mut cdr);
        cdr.finish()
    }
}

/// `cooper_perception/msg/Image`.
fn write_image(cdr: &mut CdrWriter, frame: &Frame) {
    write_header(cdr, &frame.header);
    cdr.string(&frame.camera);
    cdr.u32(frame.image.width());
    cdr.u32(frame.image.height());
    cdr.string(&sha256(&frame.image));
}

/// `cooper_perception/msg/Evidence`, without the image and the time that drawing it took.
fn write_evidence(cdr: &mut CdrWriter, map: &Evidence, header: &FrameHeader) {
    let no_image = Image {
        header: header.clone(),
        height: 0,
        width: 0,
        encoding: String::new(),
        is_bigendian: false,
        step: 0,
        data: Cow::Borrowed(&[]),
    };
    cdr.u8(match map.kind {
        MapKind::Depth => 0,
        MapKind::Segmentation => 1,
    });
    cdr.u16(u16::try_from(map.turn).unwrap_or(u16::MAX));
    no_image.write_into(cdr);
    cdr.i64(seed_number(map.seed));
    cdr.u32(count(map.steps));
    cdr.u16(u16::try_from(map.image_idx).unwrap_or(u16::MAX));
    cdr.f64(0.0);
}

/// `cooper_perception/msg/Timings`.
fn write_no_timings(cdr: &mut CdrWriter) {
    for _ in ["queue", "prefill", "text", "maps", "total"] {
        cdr.f64(0.0);
    }
    for _ in ["turn_s", "turn_tokens"] {
        cdr.u32(0);
    }
}

fn seed_number(seed: u64) -> i64 {
    i64::try_from(seed).unwrap_or(i64::MAX)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Interleaved => 0,
        Mode::Text => 1,
        Mode::Perception => 2,
        Mode::Direct => 3,
    }
}

fn status_number(status: Option<Status>) -> u8 {
    match status {
        Some(Status::Answered) => 0,
        Some(Status::NoAnswer) => 1,
        Some(Status::Truncated) => 2,
        Some(Status::Canceled) => 3,
        None => 5,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use image::RgbImage;

    use super::*;

    #[test]
    fn an_answers_numbers_are_those_of_its_definition() {
        let definition = include_str!("../../../msg/Answer.msg");
        let named = |name: &str, number: u8| {
            let line = format!("uint8 {name}={number}");
            assert!(definition.lines().any(|found| found == line), "{line}");
        };
        named("INTERLEAVED", mode_number(Mode::Interleaved));
        named("TEXT", mode_number(Mode::Text));
        named("PERCEPTION", mode_number(Mode::Perception));
        named("DIRECT", mode_number(Mode::Direct));
        named("ANSWERED", status_number(Some(Status::Answered)));
        named("NO_ANSWER", status_number(Some(Status::NoAnswer)));
        named("TRUNCATED", status_number(Some(Status::Truncated)));
        named("CANCELED", status_number(Some(Status::Canceled)));
        named("FAILED", status_number(None));
    }

    #[test]
    fn an_answer_is_written_as_the_python_packages_write_it() {
        let header = FrameHeader {
            stamp_secs: 7,
            stamp_nanos: 5,
            frame_id: "front".into(),
        };
        let red = RgbImage::from_pixel(1, 1, image::Rgb([255, 0, 0]));
        let map = Evidence {
            kind: MapKind::Depth,
            turn: 1,
            image: Arc::new(red.clone()),
            depth: None,
            seed: 41,
            steps: 9,
            steps_computed: 9,
            image_idx: 0,
            took: Duration::from_secs(1),
        };
        let answer = Answer {
            frame: &Frame::new("front/left", header, red),
            question: "Wie weit? ä",
            answer: "2.5 m",
            text: "<answer>2.5 m</answer>\n",
            mode: Mode::Direct,
            status: Some(Status::Answered),
            seed: 41,
            evidence: &[map],
        };
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/bags/messages.json"
        );
        let messages: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let written: String = answer
            .write()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(written, messages["answer_little_endian"].as_str().unwrap());
    }
}
