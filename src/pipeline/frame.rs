//! A camera image with what its results must carry, and the source of the newest one.

use std::fmt::Debug;
use std::sync::Arc;

use cooper_imaging::FrameHeader;
use cooper_model::Result;
use cooper_model::engine::Images;
use image::RgbImage;

/// One image of one camera, and what else a question is about.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The camera's name; empty for an image that came inside a request.
    pub camera: String,
    /// Counts the camera's frames from 1; 0 for an image without a camera.
    pub number: u64,
    /// The source message's header.
    pub header: FrameHeader,
    /// The pixels at the source's size.
    pub image: RgbImage,
    /// More images of the same question, in order; they have none themselves.
    pub further: Vec<Arc<Frame>>,
}

impl Frame {
    /// A frame without a number and without further images.
    pub fn new(camera: impl Into<String>, header: FrameHeader, image: RgbImage) -> Self {
        Self {
            camera: camera.into(),
            number: 0,
            header,
            image,
            further: Vec::new(),
        }
    }

    /// Several images of one question, in order; none of none.
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
    pub fn images(&self) -> Images<'_> {
        let further = self.further.iter().map(|frame| &frame.image);
        Images::new(&self.image, further)
    }
}

/// A camera that can be asked for its newest image: asked when the work begins, so that the newest one is used
/// and older ones cost nothing.
pub trait LatestFrame: Debug + Send + Sync {
    /// The camera's name.
    fn name(&self) -> &str;

    /// The newest image.
    ///
    /// # Errors
    /// [`cooper_model::Error::NoImage`] that says why there is none that can be used.
    fn latest(&self) -> Result<Arc<Frame>>;
}
