//! `cooper depth` and `cooper segment`: one map of one image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use cooper_model::engine::Cancel;
use cooper_model::perception::{DepthMap, Region};
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Task, TaskResult};
use image::ImageFormat;

use super::model::ModelArgs;
use super::output;
use super::progress::{TextOutput, count, note};
use super::task::TaskRun;

/// Draw the relative depth of an image, 0 near to 1 far
#[derive(Debug, Args)]
pub(super) struct DepthArgs {
    /// The image, PNG or JPEG
    image: PathBuf,
    /// What to write: .png (16 bit, 0 near to 65535 far), .npy or .exr (32-bit floats, 0 near to 1 far)
    #[arg(short, long, value_name = "OUT")]
    output: DepthFile,
    /// Numbers, or Spectral colours (.png only; near is red, far is violet)
    #[arg(long, value_enum, default_value_t = DepthFormat::Relative)]
    format: DepthFormat,
    #[command(flatten)]
    model: ModelArgs,
}

/// Draw the objects of an image in different colours
#[derive(Debug, Args)]
pub(super) struct SegmentArgs {
    /// The image, PNG or JPEG
    image: PathBuf,
    /// The .png to write
    #[arg(short, long, value_name = "OUT", value_parser = png)]
    output: PathBuf,
    /// The model's colours, or region numbers from 0 (16 bit, 65535 where there is no region)
    #[arg(long, value_enum, default_value_t = SegmentFormat::Color)]
    format: SegmentFormat,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DepthFormat {
    Relative,
    Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SegmentFormat {
    Color,
    Labels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DepthEncoding {
    Png,
    Npy,
    Exr,
}

#[derive(Clone, Debug)]
struct DepthFile {
    path: PathBuf,
    encoding: DepthEncoding,
}

impl FromStr for DepthFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let path = PathBuf::from(text);
        let encoding = match extension(&path).as_str() {
            "png" => DepthEncoding::Png,
            "npy" => DepthEncoding::Npy,
            "exr" => DepthEncoding::Exr,
            _ => return Err("expected a name ending in .png, .npy or .exr".into()),
        };
        Ok(Self { path, encoding })
    }
}

fn png(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if extension(&path) == "png" {
        Ok(path)
    } else {
        Err("expected a name ending in .png".into())
    }
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

impl DepthArgs {
    /// Draw the map and write it.
    pub(super) fn run(self) -> Result<()> {
        let DepthFile { path, encoding } = &self.output;
        if self.format == DepthFormat::Color && *encoding != DepthEncoding::Png {
            let why = format!("expected a .png for colours, got {}", path.display());
            return Err(Error::invalid("--format color", why));
        }
        let task = Task::Depth;
        let TaskResult::Depth(map) = draw(&self.image, path, &self.model, &task)? else {
            return Err(Error::Internal("the model returned no depth map".into()));
        };
        match self.format {
            DepthFormat::Color => output::write_rgb_png(path, &map.color())?,
            DepthFormat::Relative => write_depth(path, *encoding, &map)?,
        }
        let range = match (self.format, encoding) {
            (DepthFormat::Color, _) => "red near, violet far",
            (DepthFormat::Relative, DepthEncoding::Png) => "0 near, 65535 far",
            (DepthFormat::Relative, DepthEncoding::Npy | DepthEncoding::Exr) => "0 near, 1 far",
        };
        let (width, height, path) = (map.width, map.height, path.display());
        note(&format!("depth of {width} x {height}: {path} ({range})"));
        Ok(())
    }
}

fn write_depth(path: &Path, encoding: DepthEncoding, map: &DepthMap) -> Result<()> {
    let size = [map.width, map.height];
    match encoding {
        DepthEncoding::Png => output::write_image(path, &map.grey16().into(), ImageFormat::Png),
        DepthEncoding::Npy => output::write_npy(path, size, &map.values),
        DepthEncoding::Exr => output::write_exr(path, size, &map.values),
    }
}

impl SegmentArgs {
    /// Draw the map and write it.
    pub(super) fn run(self) -> Result<()> {
        let task = Task::Segment;
        let TaskResult::Segmentation(map) = draw(&self.image, &self.output, &self.model, &task)?
        else {
            return Err(Error::Internal("the model returned no segmentation".into()));
        };
        let (width, height) = map.color.dimensions();
        match self.format {
            SegmentFormat::Color => output::write_rgb_png(&self.output, &map.color)?,
            SegmentFormat::Labels => {
                output::write_u16_png(&self.output, [width, height], map.labels)?;
            }
        }
        let (regions, path) = (count(map.regions.len(), "region"), self.output.display());
        note(&format!("{regions} in {width} x {height}: {path}"));
        let classes = classes(&map.regions, width * height);
        if !classes.is_empty() {
            note(&format!("classes: {classes}"));
        }
        Ok(())
    }
}

/// The classes of regions with their shares of the image, the largest first; empty without classes.
fn classes(regions: &[Region], n_pixels: u32) -> String {
    let mut areas: BTreeMap<&str, u32> = BTreeMap::new();
    for region in regions.iter().filter(|region| region.class.is_some()) {
        *areas
            .entry(region.name.as_deref().unwrap_or_default())
            .or_default() += region.n_pixels;
    }
    let mut areas: Vec<(&str, u32)> = areas.into_iter().collect();
    areas.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let percent = |n: u32| 100.0 * f64::from(n) / f64::from(n_pixels.max(1));
    let shares = areas.iter();
    let shares = shares.map(|(name, n)| format!("{name} {:.0} %", percent(*n)));
    shares.collect::<Vec<_>>().join(", ")
}

/// Run `task` on one image. What can fail without a model fails before it is loaded.
fn draw(image: &Path, output: &Path, model: &ModelArgs, task: &Task) -> Result<TaskResult> {
    let image = cooper_imaging::load_rgb(image)?;
    output::check_writable(output)?;
    let mut loaded = model.load()?;
    let task_run = TaskRun {
        settings: &model.settings()?,
        cancel: &Cancel::default(),
        text: TextOutput::Silent,
    };
    task_run.run(&mut loaded, &(&image).into(), task)
}
