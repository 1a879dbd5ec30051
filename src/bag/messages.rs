//! The messages that a bag is read and written for, field by field in the order of their definitions.

use std::borrow::Cow;

use image::RgbImage;

use super::cdr::{CdrReader, CdrWriter};
use crate::engine::Evidence;
use crate::engine::MapKind;
use crate::error::Result;
use crate::imaging;
use crate::imaging::RawImage;
use crate::perception::Raster;
use crate::pipeline::Frame;
use crate::pipeline::FrameHeader;
use crate::reasoning::Mode;
use crate::reasoning::Status;

/// `sensor_msgs/msg/Image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// When and where it was taken.
    pub header: FrameHeader,
    /// In pixels.
    pub height: u32,
    /// In pixels.
    pub width: u32,
    /// The encoding's name.
    pub encoding: String,
    /// Whether values of 16 bits begin with their high byte.
    pub is_bigendian: bool,
    /// Bytes from one row to the next.
    pub step: u32,
    /// The rows.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Image<'a> {
    /// Read a message.
    ///
    /// # Errors
    /// See [`CdrReader`].
    pub fn read(message: &'a [u8]) -> Result<Self> {
        let mut cdr = CdrReader::new(message)?;
        Ok(Self {
            header: read_header(&mut cdr)?,
            height: cdr.u32("height")?,
            width: cdr.u32("width")?,
            encoding: cdr.string("encoding")?,
            is_bigendian: cdr.u8("is_bigendian")? != 0,
            step: cdr.u32("step")?,
            data: cdr.bytes("data")?.into(),
        })
    }

    /// The message of a map, or of a picture.
    pub fn new(raster: Raster, header: &FrameHeader) -> Image<'static> {
        Image {
            header: header.clone(),
            height: raster.height,
            width: raster.width,
            encoding: raster.encoding.into(),
            is_bigendian: false,
            step: raster.step(),
            data: raster.data.into(),
        }
    }

    /// Write the message.
    pub fn write(&self) -> Vec<u8> {
        let mut cdr = CdrWriter::default();
        self.write_into(&mut cdr);
        cdr.finish()
    }

    fn write_into(&self, cdr: &mut CdrWriter) {
        write_header(cdr, &self.header);
        cdr.u32(self.height);
        cdr.u32(self.width);
        cdr.string(&self.encoding);
        cdr.u8(self.is_bigendian.into());
        cdr.u32(self.step);
        cdr.bytes(&self.data);
    }

    /// Its fields, to be checked and read as pixels.
    pub fn raw(&self) -> RawImage<'_> {
        RawImage {
            width: self.width,
            height: self.height,
            step: self.step,
            encoding: &self.encoding,
            is_bigendian: self.is_bigendian,
            data: &self.data,
        }
    }
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedImage<'a> {
    /// When and where it was taken.
    pub header: FrameHeader,
    /// What the driver calls its format.
    pub format: String,
    /// A file's content.
    pub data: &'a [u8],
}

impl<'a> CompressedImage<'a> {
    /// Read a message.
    ///
    /// # Errors
    /// See [`CdrReader`].
    pub fn read(message: &'a [u8]) -> Result<Self> {
        let mut cdr = CdrReader::new(message)?;
        Ok(Self {
            header: read_header(&mut cdr)?,
            format: cdr.string("format")?,
            data: cdr.bytes("data")?,
        })
    }

    /// Read the pixels, by their content: `format` is what drivers disagree about.
    ///
    /// # Errors
    /// See [`imaging::decode_rgb`].
    pub fn to_rgb(&self) -> Result<RgbImage> {
        imaging::decode_rgb(self.data, "compressed image")
    }
}

/// `cooper_perception/msg/Answer`, about one picture. What it says of times is left at 0: the same input gives the same
/// bytes.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The picture that the question was about.
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
    pub fn write(&self) -> Vec<u8> {
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
        write_picture(&mut cdr, self.frame);
        cdr.u32(count(self.evidence.len()));
        for map in self.evidence {
            write_evidence(&mut cdr, map, header);
        }
        write_no_timings(&mut cdr);
        cdr.finish()
    }
}

fn read_header(cdr: &mut CdrReader<'_>) -> Result<FrameHeader> {
    Ok(FrameHeader {
        stamp_secs: cdr.i32("header.stamp.sec")?,
        stamp_nanos: cdr.u32("header.stamp.nanosec")?,
        frame_id: cdr.string("header.frame_id")?,
    })
}

fn write_header(cdr: &mut CdrWriter, header: &FrameHeader) {
    cdr.i32(header.stamp_secs);
    cdr.u32(header.stamp_nanos);
    cdr.string(&header.frame_id);
}

/// `cooper_perception/msg/Picture`.
fn write_picture(cdr: &mut CdrWriter, frame: &Frame) {
    write_header(cdr, &frame.header);
    cdr.string(&frame.camera);
    cdr.u32(frame.image.width());
    cdr.u32(frame.image.height());
    cdr.string(&imaging::sha256(&frame.image));
}

/// `cooper_perception/msg/Evidence`, without the picture and the time that drawing it took.
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
    cdr.u16(u16::try_from(map.picture).unwrap_or(u16::MAX));
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
    use super::*;

    #[test]
    fn an_answers_numbers_are_those_of_its_definition() {
        let definition = include_str!("../../msg/Answer.msg");
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
    fn an_image_is_read_as_it_was_written() {
        let raster = Raster::rgb(&RgbImage::from_fn(3, 2, |x, y| {
            image::Rgb([x as u8, y as u8, 9])
        }));
        let header = FrameHeader {
            stamp_secs: -3,
            stamp_nanos: 999_999_999,
            frame_id: "left".into(),
        };
        let image = Image::new(raster, &header);
        let bytes = image.write();
        let read = Image::read(&bytes).unwrap();
        assert_eq!(read, image);
        assert_eq!((read.step, read.raw().to_rgb().unwrap().width()), (9, 3));
    }
}
