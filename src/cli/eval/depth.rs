//! `cooper eval depth`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use cooper_model::perception::DepthMap;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{ModelRunner, Task, TaskResult};
use cooper_train::evaluation::depth::{
    Crop, DepthProtocol, DepthRow, DepthSample, DepthSource, DepthTask, MeanDepth, Method,
    constant, depth_report, gradient, plane,
};
use cooper_train::evaluation::{Broken, images};
use serde_json::json;

use super::super::model::ModelArgs;
use super::super::verdict::Verdict;
use super::artist::Artist;
use super::output::{OutputArgs, write_case};
use super::record::record;
use super::source::{SampleArgs, SceneArgs};
use super::work;

/// The range of generated scenes, metres: what the shipped model's depth is encoded with.
const SCENE_RANGE_M: [f64; 2] = [0.0, 10.0];

/// Measure depth maps: after the best scale and shift, in raw metres, and beside what needs no model
#[derive(Debug, Args)]
pub(super) struct DepthArgs {
    /// A folder with x.png (or .jpg) beside x_depth.png, x_depth.npy or x.npy; or JSON lines with rgb_image and depth_image
    #[arg(long, value_name = "DIR_OR_JSONL")]
    data: Option<PathBuf>,
    /// Whole numbers in depth files are so many to the metre; floats are metres
    #[arg(long, value_name = "N", default_value = "1000", value_parser = per_metre)]
    depth_scale: f64,
    /// Depth that counts, metres; also what 0 and 1 of the model's maps mean, for its raw metres
    /// [default: 0 10 for scenes; else all, or the crop's own range without raw metres]
    #[arg(long, num_args = 2, value_names = ["LO", "HI"], allow_negative_numbers = true)]
    range: Option<Vec<f64>>,
    /// The part of the image that counts
    #[arg(long, value_enum, default_value_t = CropName::None)]
    crop: CropName,
    /// How many training scenes the mean depth image is made of (with --scenes)
    #[arg(long, value_name = "N", default_value_t = 500)]
    mean_scenes: u64,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    scenes: SceneArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CropName {
    /// All of it
    None,
    /// Eigen's crop of NYU Depth v2
    Nyu,
    /// The crop of KITTI
    Kitti,
}

impl From<CropName> for Crop {
    fn from(name: CropName) -> Self {
        match name {
            CropName::None => Self::None,
            CropName::Nyu => Self::Nyu,
            CropName::Kitti => Self::Kitti,
        }
    }
}

fn per_metre(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|n| n.is_finite() && *n > 0.0)
        .ok_or_else(|| "expected a number above 0".into())
}

/// Everything that a sample is measured with.
struct Measuring {
    protocol: DepthProtocol,
    /// Whether the model's maps are metres without looking at the truth.
    is_metric: bool,
    mean: Option<MeanDepth>,
}

impl DepthArgs {
    /// Measure, print, write.
    pub(super) fn run(self) -> Result<Verdict> {
        let measuring = self.measuring()?;
        let (source, broken) = self.source()?;
        self.output.prepare()?;
        let mut artist = Artist::new(&self.model)?;
        let done = work::each(
            self.samples.limited(source.len()),
            broken,
            &artist.cancel.clone(),
            |i| source.name(i),
            |i| {
                let sample = source.load(i)?;
                let started = Instant::now();
                let map = draw(&mut artist, &sample, i)?;
                let seconds = started.elapsed().as_secs_f64();
                measuring.row(sample, &map, seconds)
            },
        )?;
        let mut report = depth_report(&done.rows, &self.samples.bootstrap());
        report.notes.push(measuring.describe());
        let work = artist.model.engine.work_done();
        let evaluations = work.flow_branches as f64 / done.rows.len().max(1) as f64;
        report.notes.push(format!(
            "A map took {evaluations:.2} evaluations of the network, guidance's among them."
        ));
        let shown = self
            .output
            .write_drawn_cases(&done, quality, |dir, name, _, i| {
                let sample = source.load(i)?;
                let map = draw(&mut artist, &sample, i)?;
                measuring.write_case(dir, name, &sample, &map)
            })?;
        let mut record = record(&self.model, &artist.model.info(), &artist.settings)?;
        let [low, high] = measuring.protocol.range_m;
        record["data"] = match &self.data {
            Some(path) => json!({"path": path, "depth_scale": self.depth_scale}),
            None => self.scenes.describe()?,
        };
        // JSON has no infinity: null is no upper end.
        record["protocol"] = json!({"range_m": [low, high], "crop": measuring.protocol.crop});
        record["bootstrap"] = json!(self.samples.bootstrap());
        record["evaluations_per_map"] = json!(evaluations);
        self.output
            .write_report("depth", &report, record, &done, &shown)
    }

    fn measuring(&self) -> Result<Measuring> {
        let crop = Crop::from(self.crop);
        let given = match self.range.as_deref() {
            // Written so that NaN is refused.
            Some(&[low, high]) if 0.0 <= low && low < high && high.is_finite() => Some([low, high]),
            Some(other) => {
                let why = format!("expected two numbers with 0 <= LO < HI, got {other:?}");
                return Err(Error::invalid("--range", why));
            }
            None => self.scenes.scenes.map(|_| SCENE_RANGE_M),
        };
        let mean = match self.scenes.scenes {
            Some(_) => {
                let config = self.scenes.set()?.config;
                Some(MeanDepth::from_training_scenes(&config, self.mean_scenes))
            }
            None => None,
        };
        Ok(Measuring {
            protocol: DepthProtocol {
                range_m: given.unwrap_or_else(|| crop.range_m()),
                crop,
            },
            is_metric: given.is_some(),
            mean,
        })
    }

    fn source(&self) -> Result<(DepthSource, Vec<Broken>)> {
        if let Some(path) = &self.data {
            return DepthSource::files(path, self.depth_scale);
        }
        let scenes = Box::new(self.scenes.set()?);
        Ok((DepthSource::Scenes(scenes), Vec::new()))
    }
}

fn quality(row: &DepthRow) -> f64 {
    let model = row.scores.get(&Method::Model);
    model.map_or(f64::MIN, |scores| -scores.abs_rel)
}

fn draw(artist: &mut Artist, sample: &DepthSample, i: usize) -> Result<DepthMap> {
    match artist.draw(&sample.image, i, &Task::Depth)? {
        TaskResult::Depth(map) => Ok(map),
        _ => Err(Error::Internal("no depth map came of it".into())),
    }
}

impl Measuring {
    fn row(&self, sample: DepthSample, map: &DepthMap, seconds: f64) -> Result<DepthRow> {
        let task = DepthTask::new(&sample.truth, &self.protocol)?;
        let relative = task.fitted(&map.values, map.width, map.height)?;
        let (width, height) = (sample.truth.width, sample.truth.height);
        let mut maps = vec![
            (Method::Model, task.aligned(&relative)),
            (Method::Constant, constant(&task)),
            (Method::Gradient, task.aligned(&gradient(width, height))),
            (Method::Plane, plane(&task)),
        ];
        if self.is_metric {
            maps.push((Method::ModelMetric, task.metric(&relative)));
        }
        if let Some(mean) = &self.mean {
            let mean = task.fitted(&mean.metres, mean.width, mean.height)?;
            maps.push((Method::MeanImage, task.aligned(&mean)));
            let metres = mean.iter().map(|&m| f64::from(m)).collect();
            maps.push((Method::MeanImageMetric, metres));
        }
        let scored = maps.into_iter();
        Ok(DepthRow {
            scores: scored
                .filter_map(|(method, metres)| Some((method, task.scores(&metres)?)))
                .collect(),
            name: sample.name,
            seconds,
        })
    }

    fn write_case(
        &self,
        dir: &Path,
        name: &str,
        sample: &DepthSample,
        map: &DepthMap,
    ) -> Result<()> {
        let task = DepthTask::new(&sample.truth, &self.protocol)?;
        let relative = task.fitted(&map.values, map.width, map.height)?;
        let row = images::depth_row(&sample.image, &task, &task.aligned(&relative));
        write_case(dir, name, &row)
    }

    fn describe(&self) -> String {
        let [low, high] = self.protocol.range_m;
        let crop = match self.protocol.crop {
            Crop::None => "no",
            Crop::Nyu => "NYU's",
            Crop::Kitti => "KITTI's",
        };
        format!("Truth between {low} and {high} m counts, {crop} crop, at the truth's size.")
    }
}
