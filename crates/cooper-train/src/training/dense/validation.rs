//! Images that are not trained on and whose scores go into the log.

use cooper_model::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::DenseImage;
use super::rgbd::{OpenFiles, RgbdFiles};
use super::target::DenseTarget;
use super::warp::resized;

/// Images that are not trained on and whose scores go into the log at each checkpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidationSet {
    /// What its scores are called in the log.
    pub name: String,
    /// The files.
    pub rgbd: RgbdFiles,
    /// Width and height in pixels to which images are brought.
    pub size: [u32; 2],
    /// At most so many images, evenly spread over the files; all if not given.
    #[serde(default)]
    pub most: Option<usize>,
}

/// The images of a [`ValidationSet`].
#[derive(Debug)]
pub(in crate::training) struct ValidationImages<'c> {
    set: &'c ValidationSet,
    files: OpenFiles<'c>,
    canonical_focal: Option<f32>,
}

impl ValidationSet {
    /// Find the files.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](cooper_model::Error::InvalidInput) with what cannot be used; otherwise about a file.
    pub(in crate::training) fn open(&self, target: &DenseTarget) -> Result<ValidationImages<'_>> {
        target.check_size(&format!("validation: {}: size", self.name), self.size)?;
        Ok(ValidationImages {
            set: self,
            files: self.rgbd.open(target)?,
            canonical_focal: target.canonical_focal,
        })
    }
}

impl ValidationImages<'_> {
    /// What its scores are called in the log.
    pub(in crate::training) fn name(&self) -> &str {
        &self.set.name
    }

    /// How many images there are.
    pub(in crate::training) fn len(&self) -> usize {
        self.set.most.unwrap_or(usize::MAX).min(self.files.len())
    }

    /// Image number `i` of [`Self::len`], as it is but for its size.
    ///
    /// # Errors
    /// About its files.
    pub(in crate::training) fn image(&self, i: usize) -> Result<DenseImage> {
        let image = self.files.load(i * self.files.len() / self.len())?;
        let mut image = resized(&image, self.set.size);
        if let Some(share) = self.canonical_focal {
            image.make_canonical(share);
        }
        Ok(image)
    }
}
