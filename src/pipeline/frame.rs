//! A camera picture with what its results must carry, and the source of the newest one.

use std::fmt::Debug;
use std::sync::Arc;

use image::RgbImage;

use crate::engine::Pictures;
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

/// One picture of one camera, and what else a question is about.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The camera's name; empty for a picture that came inside a request.
    pub camera: String,
    /// The source message's header.
    pub header: FrameHeader,
    /// The pixels at the source's size.
    pub image: RgbImage,
    /// More pictures of the same question, in order; they have none themselves.
    pub further: Vec<Arc<Frame>>,
}

impl Frame {
    /// A picture of its own.
    pub fn new(camera: impl Into<String>, header: FrameHeader, image: RgbImage) -> Self {
        Self {
            camera: camera.into(),
            header,
            image,
            further: Vec::new(),
        }
    }

    /// Several pictures of one question, in order; none of none.
    pub fn of_all(frames: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut frames = frames.into_iter();
        let first = frames.next()?;
        let further = frames.map(Arc::new).collect();
        Some(Self { further, ..first })
    }

    /// It and the further ones, in order.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.further.iter().map(AsRef::as_ref))
    }

    /// The last of them: drawn maps have its size and its header.
    pub fn last(&self) -> &Self {
        self.further.last().map_or(self, AsRef::as_ref)
    }

    /// The pixels of all.
    pub fn pictures(&self) -> Pictures<'_> {
        let further = self.further.iter().map(|frame| &frame.image);
        Pictures::new(&self.image, further)
    }
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
