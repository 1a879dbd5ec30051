//! `cooper eval segmentation`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cooper_model::perception::Segmentation;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{ModelRunner, Task, TaskResult};
use cooper_scenes::FIRST_OBJECT;
use cooper_train::evaluation::segmentation::{
    SegmentationRow, SegmentationSource, segmentation_report,
};
use cooper_train::evaluation::{Broken, images};
use image::RgbImage;
use serde_json::json;

use super::super::model::ModelArgs;
use super::super::verdict::Verdict;
use super::artist::Artist;
use super::output::{OutputArgs, write_case};
use super::record::record;
use super::source::{SampleArgs, SceneArgs};
use super::work;

/// Measure segmentations: drawn regions against true ones
#[derive(Debug, Args)]
pub(super) struct SegmentationArgs {
    /// A folder with x.png (or .jpg) beside x_ids.png (grey: regions), x_segmentation.png (flat colours) or x_labels.png
    /// (grey: ids of the palette's classes); or JSON lines with rgb_image, and ids_image, seg_image or labels_image
    #[arg(long, value_name = "DIR_OR_JSONL")]
    data: Option<PathBuf>,
    /// The first id that is an object, in images of ids; below are floor, walls and the like
    #[arg(long, value_name = "ID", default_value_t = u16::from(FIRST_OBJECT))]
    first_object: u16,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    scenes: SceneArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl SegmentationArgs {
    /// Measure, print, write.
    pub(super) fn run(self) -> Result<Verdict> {
        let (source, broken) = self.source()?;
        self.output.prepare()?;
        let mut artist = Artist::new(&self.model)?;
        let palette = artist.model.engine.config().palette.clone();
        let done = work::each(
            self.samples.limited(source.len()),
            broken,
            &artist.cancel.clone(),
            |i| source.name(i),
            |i| {
                let sample = source.load(i)?;
                let started = Instant::now();
                let drawn = draw(&mut artist, &sample.image, i)?;
                let seconds = started.elapsed().as_secs_f64();
                Ok(SegmentationRow::new(
                    sample.name,
                    &sample.truth,
                    &drawn,
                    palette.as_ref(),
                    seconds,
                ))
            },
        )?;
        let report = segmentation_report(&done.rows, palette.as_ref(), &self.samples.bootstrap());
        let shown =
            self.output
                .write_drawn_cases(&done, SegmentationRow::quality, |dir, name, _, i| {
                    let sample = source.load(i)?;
                    let drawn = draw(&mut artist, &sample.image, i)?;
                    let row = images::segmentation_row(&sample.image, &sample.truth, &drawn.color);
                    write_case(dir, name, &row)
                })?;
        let mut record = record(&self.model, &artist.model.info(), &artist.settings)?;
        record["data"] = match &self.data {
            Some(path) => json!({"path": path, "first_object": self.first_object}),
            None => self.scenes.describe()?,
        };
        record["bootstrap"] = json!(self.samples.bootstrap());
        self.output
            .write_report("segmentation", &report, record, &done, &shown)
    }

    fn source(&self) -> Result<(SegmentationSource, Vec<Broken>)> {
        if let Some(path) = &self.data {
            return SegmentationSource::files(path, self.first_object);
        }
        let scenes = Box::new(self.scenes.set()?);
        Ok((SegmentationSource::Scenes(scenes), Vec::new()))
    }
}

fn draw(artist: &mut Artist, image: &RgbImage, i: usize) -> Result<Segmentation> {
    match artist.draw(image, i, &Task::Segment)? {
        TaskResult::Segmentation(map) => Ok(map),
        _ => Err(Error::Internal("no segmentation came of it".into())),
    }
}
