//! A camera picture with what its results must carry, and the source of the newest one.

use std::fmt::Debug;
use std::sync::Arc;

use image::RgbImage;

use crate::error::Result;

/// When and in which optical frame a picture was taken: copied to everything made from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// Seconds of the stamp, in the clock of the source.
    pub stamp_secs: i32,
    /// Nanoseconds of the stamp, 0 to 999 999 999.
    pub stamp_nanos: u32,
    /// The camera's optical frame.
    pub frame_id: String,
}

impl FrameHeader {
    /// The stamp in nanoseconds.
    pub fn stamp_ns(&self) -> i64 {
        i64::from(self.stamp_secs) * 1_000_000_000 + i64::from(self.stamp_nanos)
    }

    /// The stamp in seconds, to a fraction of a microsecond.
    pub fn stamp_s(&self) -> f64 {
        f64::from(self.stamp_secs) + f64::from(self.stamp_nanos) * 1e-9
    }
}

/// One picture of one camera.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The camera's name; empty for a picture that came inside a request.
    pub camera: String,
    /// The source message's header.
    pub header: FrameHeader,
    /// The pixels at the source's size.
    pub image: RgbImage,
}

/// A camera that can be asked for its newest picture: asked when the work begins, so that the newest one is used
/// and older ones cost nothing.
pub trait LatestFrame: Debug + Send + Sync {
    /// The camera's name.
    fn name(&self) -> &str;

    /// The newest picture.
    ///
    /// # Errors
    /// [`crate::Error::NoImage`] that says why there is none that can be used.
    fn latest(&self) -> Result<Arc<Frame>>;
}
