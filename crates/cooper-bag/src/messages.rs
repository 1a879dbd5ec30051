//! The messages that are read from a bag and written, field by field in the order of their definitions.

use std::borrow::Cow;

use cooper_imaging::{FrameHeader, Raster, RawImage, Result, decode_rgb};
use image::RgbImage;

use super::cdr::{CdrReader, CdrWriter};

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

    /// The message of a map, or of an image.
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

    /// Write the fields as a part of another message.
    pub fn write_into(&self, cdr: &mut CdrWriter) {
        write_header(cdr, &self.header);
        cdr.u32(self.height);
        cdr.u32(self.width);
        cdr.string(&self.encoding);
        cdr.u8(self.is_bigendian.into());
        cdr.u32(self.step);
        cdr.bytes(&self.data);
    }

    /// The fields as [`RawImage`] checks and decodes them.
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

    /// Decode the pixels by their content, since drivers disagree about `format`.
    ///
    /// # Errors
    /// See [`decode_rgb`].
    pub fn to_rgb(&self) -> Result<RgbImage> {
        decode_rgb(self.data, "compressed image")
    }
}

fn read_header(cdr: &mut CdrReader<'_>) -> Result<FrameHeader> {
    Ok(FrameHeader {
        stamp_secs: cdr.i32("header.stamp.sec")?,
        stamp_nanos: cdr.u32("header.stamp.nanosec")?,
        frame_id: cdr.string("header.frame_id")?,
    })
}

/// Write a `std_msgs/msg/Header`.
pub fn write_header(cdr: &mut CdrWriter, header: &FrameHeader) {
    cdr.i32(header.stamp_secs);
    cdr.u32(header.stamp_nanos);
    cdr.string(&header.frame_id);
}

#[cfg(test)]
mod tests {
    use super::*;

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
