//! Maps for topics and services, names of regions, and the confidence of depth.

use std::sync::Arc;

use cooper_metric::spread;
use cooper_model::Result;
use cooper_model::engine::Cancel;
use cooper_model::measure::MAX_NAMED_REGIONS;
use cooper_model::perception::{DepthMap, Segmentation};
use cooper_perception::config::DepthConfig;
use cooper_perception::pipeline::{Frame, FrameSource, Settings, Task, TaskResult};

use crate::requests::{self, Caller};
use crate::shared::Shared;

/// Run a task of the model and wait for its result: the frame that it worked on, and the result.
///
/// # Errors
/// Those of [`Shared::submit`] and of the task.
async fn run(
    shared: &Shared,
    caller: Caller,
    source: FrameSource,
    task: Task,
    settings: Settings,
) -> Result<(Arc<Frame>, TaskResult)> {
    let events = shared.submit(caller, source, task, settings, Cancel::default())?;
    requests::completion(events).await.into_parts()
}

/// Draw a depth map.
///
/// # Errors
/// Those of [`Shared::submit`] and of the model.
pub async fn draw_depth(
    shared: &Shared,
    caller: Caller,
    source: FrameSource,
    settings: Settings,
) -> Result<(Arc<Frame>, Arc<DepthMap>)> {
    match run(shared, caller, source, Task::Depth, settings).await? {
        (frame, TaskResult::Depth(depth)) => Ok((frame, Arc::new(depth))),
        _ => Err(requests::wrong_result()),
    }
}

/// Draw a segmentation.
///
/// # Errors
/// Those of [`Shared::submit`] and of the model.
pub async fn draw_segmentation(
    shared: &Shared,
    caller: Caller,
    source: FrameSource,
) -> Result<(Arc<Frame>, Segmentation)> {
    let settings = shared.parameters.settings()?;
    match run(shared, caller, source, Task::Segment, settings).await? {
        (frame, TaskResult::Segmentation(segmentation)) => Ok((frame, segmentation)),
        _ => Err(requests::wrong_result()),
    }
}

/// Ask the model for the names of a frame's unnamed regions, the largest first.
///
/// # Errors
/// Those of [`Shared::submit`] and of the model.
pub async fn name_regions(
    shared: &Shared,
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
    let pixels = unnamed.iter().map(|region| inner[&region.id]).collect();
    let source = FrameSource::Pinned(frame.clone());
    let settings = shared.parameters.settings()?;
    match run(shared, caller, source, Task::Name(pixels), settings).await? {
        (_, TaskResult::Names(names)) => {
            for (region, name) in unnamed.into_iter().zip(names) {
                region.name = Some(name);
            }
            Ok(())
        }
        _ => Err(requests::wrong_result()),
    }
}

/// Depth maps of one frame with different seeds, the first of which is drawn already.
pub struct Samples {
    /// How many, the first included; at least 2.
    pub n: usize,
    /// Those of the first; the others have the following seeds.
    pub settings: Settings,
    /// Who requests them.
    pub caller: Caller,
}

impl Samples {
    /// Draw the others; per pixel, how far all agree, in [0, 1].
    ///
    /// # Errors
    /// Those of [`draw_depth`].
    pub async fn confidence(
        &self,
        shared: &Shared,
        frame: &Arc<Frame>,
        first: &DepthMap,
    ) -> Result<Vec<f32>> {
        let mut others = Vec::with_capacity(self.n);
        for i in 1..self.n as u64 {
            let source = FrameSource::Pinned(frame.clone());
            let settings = Settings {
                seed: self.settings.seed.wrapping_add(i),
                ..self.settings.clone()
            };
            let (_, depth) = draw_depth(shared, self.caller, source, settings).await?;
            others.push(depth);
        }
        let others = others.iter().map(|map| map.values.as_slice());
        let maps: Vec<&[f32]> = std::iter::once(first.values.as_slice())
            .chain(others)
            .collect();
        let deviation = DepthConfig::read(&shared.parameters.now())?.deviation;
        Ok(spread(&maps, deviation)?.confidence)
    }
}
