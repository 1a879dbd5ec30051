//! All images of a stage: those that it learns from, and those that it is only scored on.

use cooper_model::Result;

use super::source::{DenseData, DenseSources};
use super::target::DenseTarget;
use super::validation::{ValidationImages, ValidationSet};

/// All images of a stage.
#[derive(Debug)]
pub(in crate::training) struct DenseImages<'c> {
    /// Those that it learns from.
    pub(in crate::training) sources: DenseSources<'c>,
    /// Those that it is scored on at each checkpoint.
    pub(in crate::training) validation: Vec<ValidationImages<'c>>,
}

impl<'c> DenseImages<'c> {
    /// Check and open everything; `seed` shuffles files.
    ///
    /// # Errors
    /// As [`DenseSources::open`] and [`ValidationSet::open`].
    pub(in crate::training) fn open(
        data: &'c DenseData,
        validation: &'c [ValidationSet],
        target: &DenseTarget,
        seed: u64,
    ) -> Result<Self> {
        let sources = DenseSources::open(data, target, seed)?;
        let validation = validation.iter().map(|set| set.open(target));
        Ok(Self {
            sources,
            validation: validation.collect::<Result<_>>()?,
        })
    }
}
