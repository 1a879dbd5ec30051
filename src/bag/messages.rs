//! The messages that a bag is read and written for, field by field in the order of their definitions.

use std::borrow::Cow;

use image::RgbImage;

use super::cdr::{CdrReader, CdrWriter};
use crate::error::Result;
use crate::imaging;
use crate::imaging::RawImage;
use crate::perception::Raster;
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
        write_header(&mut cdr, &self.header);
        cdr.u32(self.height);
        cdr.u32(self.width);
        cdr.string(&self.encoding);
        cdr.u8(self.is_bigendian.into());
        cdr.u32(self.step);
        cdr.bytes(&self.data);
        cdr.finish()
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

/// `cooper_perception/msg/Answer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Of the picture that the question was about.
    pub header: &'a FrameHeader,
    /// The camera's name.
    pub camera: &'a str,
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
}

impl Answer<'_> {
    /// Write the message.
    pub fn write(&self) -> Vec<u8> {
        let mut cdr = CdrWriter::default();
        write_header(&mut cdr, self.header);
        for text in [self.camera, self.question, self.answer, self.text] {
            cdr.string(text);
        }
        cdr.u8(mode_number(self.mode));
        cdr.u8(status_number(self.status));
        cdr.i64(i64::try_from(self.seed).unwrap_or(i64::MAX));
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
