//! Rows of a file in the form of COOPER's public training set, one JSON object a line.
//!
//! | rows | keys of a row | sample |
//! |---|---|---|
//! | `depth` | `rgb_image`, `depth_image` | the image (both encoders), the depth instruction, the depth map to draw |
//! | `segmentation` | `rgb_image`, `seg_image` | the same with the segmentation |
//! | `interleaved` | `interleaved_reason` | the interleaved system prompt, then texts and images in the row's order |
//!
//! Other keys of a row are ignored. Files are read when their row is drawn: a data set may be larger than memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cooper_imaging::{ResizeRule, load_rgb};
use cooper_model::engine::Views;
use cooper_model::reasoning::Prompts;
use cooper_model::{Error, Result};
use image::RgbImage;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::draws::{mixed, permuted, rng_at};
use super::jsonl_maps::{self, DepthDataset, DepthScale};
use super::jsonl_reasoning;
use super::sample::Sample;

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JsonlRows {
    /// One row a line.
    pub file: PathBuf,
    /// What the rows are.
    pub rows: RowForm,
    /// The folder against which paths in rows are meant; none: the file's own.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// How depth is stored; rows of depth need this or `depth_scale`.
    #[serde(default)]
    pub dataset: Option<DepthDataset>,
    /// How depth is stored, in numbers.
    #[serde(default)]
    pub depth_scale: Option<DepthScale>,
    /// Keep the lowest 352 rows and the middle 1216 columns, as KITTI's benchmark; none: for `vkitti` and `kitti`.
    #[serde(default)]
    pub kitti_crop: Option<bool>,
    /// The chance that an image and its map are mirrored, left to right.
    #[serde(default = "half")]
    pub flip: f64,
    /// How images behind the first text with a loss are read in `interleaved` rows: they were generated.
    #[serde(default)]
    pub generated_views: GeneratedViews,
}

fn half() -> f64 {
    0.5
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowForm {
    /// An image and its depth map.
    Depth,
    /// An image and its segmentation.
    Segmentation,
    /// A conversation with images.
    Interleaved,
}

/// How generated images are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratedViews {
    /// With both encoders, as COOPER was trained.
    #[default]
    VaeAndVit,
    /// With the vision encoder alone, as COOPER answers.
    Vit,
}

impl From<GeneratedViews> for Views {
    fn from(views: GeneratedViews) -> Self {
        match views {
            GeneratedViews::VaeAndVit => Self::VaeAndVit,
            GeneratedViews::Vit => Self::Vit,
        }
    }
}

impl JsonlRows {
    /// Whether the keys fit each other.
    fn check(&self) -> Result<()> {
        let refuse = |key: &str, why: String| Err(Error::invalid(format!("jsonl: {key}"), why));
        if !(0.0..=1.0).contains(&self.flip) {
            return refuse(
                "flip",
                format!("expected a chance from 0 to 1, got {}", self.flip),
            );
        }
        let n_scales =
            usize::from(self.dataset.is_some()) + usize::from(self.depth_scale.is_some());
        let n_wanted = usize::from(self.rows == RowForm::Depth);
        if n_scales != n_wanted {
            let why = format!(
                "expected {n_wanted} of these keys with rows: {}, got {n_scales}",
                serde_json::to_string(&self.rows).unwrap_or_default()
            );
            return refuse("dataset, depth_scale", why);
        }
        if self.rows == RowForm::Interleaved && self.kitti_crop.is_some() {
            return refuse(
                "kitti_crop",
                "expected no such key with rows: \"interleaved\"".into(),
            );
        }
        self.depth_scale.as_ref().map_or(Ok(()), DepthScale::check)
    }

    /// How the depth of the rows is stored.
    pub(super) fn scale(&self) -> Option<DepthScale> {
        self.depth_scale.or(self.dataset.map(DepthDataset::scale))
    }

    /// Whether images are cut as KITTI's benchmark does.
    pub(super) fn crops(&self) -> bool {
        let kitti = [Some(DepthDataset::Kitti), Some(DepthDataset::Vkitti)];
        self.kitti_crop.unwrap_or(kitti.contains(&self.dataset))
    }
}

/// A file whose lines are known.
#[derive(Debug)]
pub struct OpenRows<'c> {
    config: &'c JsonlRows,
    root: PathBuf,
    /// The line of each row, from 1, and its first byte.
    lines: Vec<(usize, u64)>,
    rule: ResizeRule,
    seed: u64,
}

impl<'c> OpenRows<'c> {
    /// Find the rows of a file, and make a sample of the first. `rule` sizes maps, `seed` shuffles the rows.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::InvalidInput`] if it is empty, or about the first row.
    pub fn open(
        config: &'c JsonlRows,
        prompts: &Prompts,
        rule: ResizeRule,
        seed: u64,
    ) -> Result<Self> {
        config.check()?;
        let folder = config.file.parent().unwrap_or_else(|| Path::new(""));
        let opened = Self {
            config,
            root: config.root.clone().unwrap_or_else(|| folder.into()),
            lines: lines(&config.file)?,
            rule,
            seed,
        };
        if opened.lines.is_empty() {
            let what = config.file.display().to_string();
            return Err(Error::invalid(what, "expected rows of JSON, got none"));
        }
        opened.sample_of(0, prompts, &mut rng_at(seed, 0, 0))?;
        Ok(opened)
    }

    /// The row for sample number `n` of the run: every row comes once in as many samples as there are rows,
    /// in another order each time, as far as it is this source that is asked.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with file, line and key if the row cannot be used.
    pub fn sample(&self, prompts: &Prompts, n: u64, rng: &mut StdRng) -> Result<Sample> {
        let n_rows = self.lines.len() as u64;
        let epoch = mixed(self.seed, n / n_rows);
        let row = permuted(n % n_rows, n_rows, epoch) as usize;
        self.sample_of(row, prompts, rng)
    }

    fn sample_of(&self, row: usize, prompts: &Prompts, rng: &mut StdRng) -> Result<Sample> {
        let row = self.read(row)?;
        match self.config.rows {
            RowForm::Interleaved => {
                jsonl_reasoning::sample(&row, prompts, self.config.generated_views.into())
            }
            RowForm::Depth | RowForm::Segmentation => {
                jsonl_maps::sample(&row, self.config, self.rule, prompts, rng)
            }
        }
    }

    fn read(&self, row: usize) -> Result<Row<'_>> {
        let (line, start) = self.lines[row];
        let path = &self.config.file;
        let failed = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut text = Vec::new();
        BufReader::new(file)
            .read_until(b'\n', &mut text)
            .map_err(failed)?;
        let values = serde_json::from_slice(&text).map_err(|e| {
            let what = format!("{}:{line}", path.display());
            Error::invalid(what, format!("expected a row as a JSON object: {e}"))
        })?;
        Ok(Row {
            file: path,
            line,
            root: &self.root,
            values,
        })
    }
}

/// The lines of a file that are not blank: their numbers from 1, and their first bytes.
fn lines(path: &Path) -> Result<Vec<(usize, u64)>> {
    let failed = |e| Error::io(path, e);
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut found, mut text, mut start) = (Vec::new(), Vec::new(), 0);
    for line in 1.. {
        text.clear();
        let n = file.read_until(b'\n', &mut text).map_err(failed)?;
        if n == 0 {
            break;
        }
        if !text.trim_ascii().is_empty() {
            found.push((line, start));
        }
        start += n as u64;
    }
    Ok(found)
}

/// One row, and where it stands.
pub(super) struct Row<'a> {
    file: &'a Path,
    line: usize,
    root: &'a Path,
    /// The row's keys.
    pub(super) values: Map<String, Value>,
}

impl Row<'_> {
    /// An error about a key of this row.
    pub(super) fn wrong(&self, key: &str, why: impl Into<String>) -> Error {
        Error::invalid(format!("{}:{}: {key}", self.file.display(), self.line), why)
    }

    /// The file that a key names.
    pub(super) fn path(&self, key: &str) -> Result<PathBuf> {
        match self.values.get(key) {
            Some(Value::String(path)) => Ok(self.root.join(path)),
            other => Err(self.wrong(key, format!("expected a path, got {}", kind(other)))),
        }
    }

    /// The image that a key names.
    pub(super) fn image(&self, key: &str) -> Result<RgbImage> {
        let path = self.path(key)?;
        load_rgb(&path).map_err(|e| self.wrong(key, e.to_string()))
    }
}

/// What a value is, for errors.
pub(super) fn kind(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::Array(list)) => format!("a list of {}", list.len()),
        Some(Value::Object(_)) => "an object".into(),
        Some(Value::String(text)) if text.len() > 40 => format!("a text of {} bytes", text.len()),
        Some(short) => short.to_string(),
    }
}
