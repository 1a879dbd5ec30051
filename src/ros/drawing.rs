//! Maps drawn for topics and services, and how far maps of one frame agree.

use std::sync::Arc;

use cooper_metric::spread;
use cooper_model::engine::Cancel;
use cooper_model::measure::MAX_NAMED_REGIONS;
use cooper_model::perception::{DepthMap, Segmentation};
use cooper_model::{Error, Result};
use cooper_perception::config::DepthConfig;
use cooper_perception::pipeline::{Frame, FrameSource, Task, TaskResult};

use super::requests::{self, Caller, Core};

/// Draw a map and wait for it: the frame that it was made from, and the map.
///
/// # Errors
/// Those of [`Core::submit`] and of the work itself.
pub async fn drawn(
    core: &Core,
    caller: Caller,
    source: FrameSource,
    work: Task,
) -> Result<(Arc<Frame>, TaskResult)> {
    let events = core.submit(caller, source, work, Cancel::default())?;
    let finished = requests::finished(events).await;
    let outcome = finished.result?;
    Ok((finished.ending.frame.ok_or_else(requests::lost)?, outcome))
}

/// Draw a depth map.
///
/// # Errors
/// See [`drawn`].
pub async fn draw_depth(
    core: &Core,
    caller: Caller,
    source: FrameSource,
    seed: Option<u64>,
) -> Result<(Arc<Frame>, Arc<DepthMap>)> {
    match drawn(core, caller, source, Task::Depth { seed }).await? {
        (frame, TaskResult::Depth(depth)) => Ok((frame, Arc::new(depth))),
        _ => Err(requests::wrong_outcome()),
    }
}

/// Ask the model what the regions of a frame are that were not asked about yet, the largest first.
///
/// # Errors
/// See [`drawn`].
pub async fn name_regions(
    core: &Core,
    caller: Caller,
    frame: &Arc<Frame>,
    segmentation: &mut Segmentation,
) -> Result<()> {
    let inner = segmentation.inner_pixels();
    let mut unnamed: Vec<_> = segmentation.regions.iter_mut().collect();
    unnamed.retain(|region| region.name.is_none() && inner.contains_key(&region.id));
    unnamed.sort_by_key(|region| std::cmp::Reverse(region.n_pixels));
    unnamed.truncate(MAX_NAMED_REGIONS);
    if unnamed.is_empty() {
        return Ok(());
    }
    let places = unnamed.iter().map(|region| inner[&region.id]).collect();
    let source = FrameSource::Pinned(frame.clone());
    match drawn(core, caller, source, Task::Name(places)).await? {
        (_, TaskResult::Names(names)) => {
            for (region, name) in unnamed.into_iter().zip(names) {
                region.name = Some(name);
            }
            Ok(())
        }
        _ => Err(requests::wrong_outcome()),
    }
}

/// Several maps of one frame, the first of which there is.
pub struct Samples {
    /// How many, the first included; at least 2.
    pub n: usize,
    /// The seed of the first; each other one has the next.
    pub seed: u64,
    /// Who asks for them.
    pub caller: Caller,
}

impl Samples {
    /// Draw the others; per pixel, how far all agree, in [0, 1].
    ///
    /// # Errors
    /// See [`drawn`].
    pub async fn confidence(
        &self,
        core: &Core,
        frame: &Arc<Frame>,
        first: &DepthMap,
    ) -> Result<Vec<f32>> {
        let mut others = Vec::with_capacity(self.n);
        for i in 1..self.n as u64 {
            let (source, seed) = (
                FrameSource::Pinned(frame.clone()),
                self.seed.wrapping_add(i),
            );
            let (_, depth) = draw_depth(core, self.caller, source, Some(seed)).await?;
            others.push(depth);
        }
        let others = others.iter().map(|map| map.values.as_slice());
        let maps: Vec<&[f32]> = std::iter::once(first.values.as_slice())
            .chain(others)
            .collect();
        let deviation = DepthConfig::read(&core.parameters.now())?.deviation;
        Ok(spread(&maps, deviation)?.confidence)
    }
}

/// Read how many maps a request wants compared; 0 is none.
///
/// # Errors
/// [`Error::InvalidInput`] for a single one or too many.
pub fn samples_of(n: u16, most: u16) -> Result<Option<usize>> {
    match n {
        0 => Ok(None),
        n if (2..=most).contains(&n) => Ok(Some(usize::from(n))),
        _ => {
            let why = format!("expected 0 or 2 to {most}, got {n}");
            Err(Error::invalid("confidence_samples", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_map_has_no_confidence() {
        assert_eq!(samples_of(0, 16).unwrap(), None);
        assert_eq!(samples_of(2, 16).unwrap(), Some(2));
        for wrong in [1, 17] {
            let told = samples_of(wrong, 16).unwrap_err().to_string();
            assert!(
                told.ends_with(&format!("expected 0 or 2 to 16, got {wrong}")),
                "{told}"
            );
        }
    }
}
