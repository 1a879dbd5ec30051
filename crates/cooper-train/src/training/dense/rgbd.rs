//! RGB-D files: images with depth, labels and intrinsics beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cooper_imaging::{load_grey, load_rgb};
use cooper_model::{Error, Result};
use cooper_scenes::UNLABELLED;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::augmentation::Augmentation;
use super::image::{DenseImage, DepthUnit};
use super::target::DenseTarget;
use crate::evaluation::files::{first_existing, images_in};
use crate::json_lines::{JsonLines, folder_of};

/// The file in a folder with the focal lengths of all its images.
const INTRINSICS: &str = "intrinsics.json";

/// Images with depth, labels and intrinsics: in a folder, or named by a table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RgbdFiles {
    /// A folder with `x.jpg` or `x.png` beside `x_depth.png` and perhaps `x_labels.png`; or a table of JSON lines with
    /// `rgb_image`, `depth_image`, perhaps `labels_image` and `intrinsics` (`fx`, `fy`), whose paths are meant from its
    /// own folder. `intrinsics.json` in the folder (`fx`, `fy`) counts where a row has none.
    pub path: PathBuf,
    /// A file with the names (without ending) of images that are never used, one a line.
    #[serde(default)]
    pub leave_out: Option<PathBuf>,
    /// Depth images count so many to the metre, above 0.
    #[serde(default = "millimetres")]
    pub per_metre: f32,
    /// Depth is known only up to a scale and a shift, as a teacher's.
    #[serde(default)]
    pub relative: bool,
    /// Focal lengths along rows and columns in pixels, in place of those in files.
    #[serde(default)]
    pub focal_px: Option<[f32; 2]>,
    /// First column, first row, and the ones behind the last, between which depth was measured; everywhere if not given.
    #[serde(default)]
    pub measured: Option<[u32; 4]>,
    /// Depth counts up to here, metres; everywhere if not given.
    #[serde(default)]
    pub up_to_m: Option<f32>,
    /// How images are varied.
    #[serde(default)]
    pub augment: Augmentation,
}

fn millimetres() -> f32 {
    1000.0
}

/// The files that [`RgbdFiles`] names.
#[derive(Debug)]
pub(super) struct OpenFiles<'c> {
    config: &'c RgbdFiles,
    rows: Vec<Row>,
    intrinsics: Option<Intrinsics>,
}

#[derive(Debug, Deserialize)]
struct Row {
    rgb_image: PathBuf,
    depth_image: PathBuf,
    #[serde(default)]
    labels_image: Option<PathBuf>,
    #[serde(default)]
    intrinsics: Option<Intrinsics>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Intrinsics {
    fx: f32,
    fy: f32,
}

impl RgbdFiles {
    /// Whether this is a folder, or a table whose first row names a depth image.
    pub fn are_at(path: &Path) -> bool {
        let is_table = || {
            let first = JsonLines::open(path).and_then(|lines| lines.read::<Row>(0));
            first.is_ok()
        };
        path.is_dir() || is_table()
    }

    /// Files with depth in millimetres, as they are.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.into(),
            leave_out: None,
            per_metre: millimetres(),
            relative: false,
            focal_px: None,
            measured: None,
            up_to_m: None,
            augment: Augmentation::default(),
        }
    }

    /// Find the files. Where `target` tells depths for one focal length, that of each image must be known.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the first value, row or image that cannot be used, or if nothing is left;
    /// [`Error::Io`] if something cannot be read.
    pub(super) fn open(&self, target: &DenseTarget) -> Result<OpenFiles<'_>> {
        self.augment.check()?;
        if !(self.per_metre > 0.0 && self.per_metre.is_finite()) {
            let why = format!("expected a number above 0, got {}", self.per_metre);
            return Err(Error::invalid("rgbd: per_metre", why));
        }
        let folder = self.folder();
        let mut rows = if self.path.is_dir() {
            rows_of_folder(&folder)?
        } else {
            rows_of_table(&self.path)?
        };
        if let Some(list) = &self.leave_out {
            let names = names(list)?;
            rows.retain(|row| !names.contains(&stem(&row.rgb_image)));
        }
        if rows.is_empty() {
            let why = "expected images with depth (x_depth.png beside x.png), got none";
            return Err(Error::invalid(self.path.display().to_string(), why));
        }
        let open = OpenFiles {
            config: self,
            rows,
            intrinsics: intrinsics(&folder.join(INTRINSICS))?,
        };
        if target.canonical_focal.is_some() {
            open.check_focal()?;
        }
        Ok(open)
    }

    fn folder(&self) -> PathBuf {
        if self.path.is_dir() {
            self.path.clone()
        } else {
            folder_of(&self.path)
        }
    }
}

impl OpenFiles<'_> {
    /// How many images there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What the log calls them: the name of the folder.
    pub(super) fn name(&self) -> String {
        stem(&self.config.folder())
    }

    /// Where image `i` is.
    pub(super) fn path(&self, i: usize) -> &Path {
        &self.rows[i].rgb_image
    }

    /// How they are varied.
    pub(super) fn augmentation(&self) -> &Augmentation {
        &self.config.augment
    }

    /// Whether the focal length of each image is known.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the first image whose focal length is not.
    pub(super) fn check_focal(&self) -> Result<()> {
        match self.rows.iter().find(|row| self.focal(row).is_none()) {
            None => Ok(()),
            Some(row) => {
                let why = format!(
                    "expected focal lengths (in its row, in {INTRINSICS} or as focal_px), got none"
                );
                Err(Error::invalid(row.rgb_image.display().to_string(), why))
            }
        }
    }

    fn focal(&self, row: &Row) -> Option<[f32; 2]> {
        let stored = row.intrinsics.or(self.intrinsics);
        let stored = stored.map(|Intrinsics { fx, fy }| [fx, fy]);
        let focal = self.config.focal_px.or(stored);
        focal.filter(|focal| focal.iter().all(|f| *f > 0.0 && f.is_finite()))
    }

    /// Load image `i`.
    ///
    /// # Errors
    /// About its files.
    pub(super) fn load(&self, i: usize) -> Result<DenseImage> {
        let row = &self.rows[i];
        let rgb = load_rgb(&row.rgb_image)?;
        let size = rgb.dimensions();
        let depth = grey(&row.depth_image, size, Bits::Sixteen)?;
        let labels = match &row.labels_image {
            Some(path) => grey(path, size, Bits::Eight)?
                .iter()
                .map(|v| *v as u8)
                .collect(),
            None => vec![UNLABELLED; depth.len()],
        };
        let known = |(i, value): (usize, &u16)| {
            let metres = f32::from(*value) / self.config.per_metre;
            let is_near = self.config.up_to_m.is_none_or(|most| metres <= most);
            if is_near && self.is_measured(i as u32, size.0) {
                metres
            } else {
                0.0
            }
        };
        Ok(DenseImage {
            depth: depth.iter().enumerate().map(known).collect(),
            unit: if self.config.relative {
                DepthUnit::Relative
            } else {
                DepthUnit::Metres
            },
            labels,
            colors: None,
            focal: self.focal(row),
            rgb,
        })
    }

    fn is_measured(&self, i: u32, width: u32) -> bool {
        let (x, y) = (i % width, i / width);
        self.config
            .measured
            .is_none_or(|[left, top, right, bottom]| {
                (left..right).contains(&x) && (top..bottom).contains(&y)
            })
    }
}

/// The depth of grey images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    Eight,
    Sixteen,
}

/// The values of a grey image of this size and depth.
fn grey(path: &Path, (width, height): (u32, u32), bits: Bits) -> Result<Vec<u16>> {
    let (w, h, values, is_16_bit) = load_grey(path)?;
    let got = if is_16_bit {
        Bits::Sixteen
    } else {
        Bits::Eight
    };
    if (w, h, got) == (width, height, bits) {
        return Ok(values);
    }
    let why = format!(
        "expected a grey image of {width}x{height} with {bits:?} bits, as its image, got {w}x{h} with {got:?}"
    );
    Err(Error::invalid(path.display().to_string(), why))
}

fn rows_of_folder(folder: &Path) -> Result<Vec<Row>> {
    let with_depth = images_in(folder)?.into_iter().filter_map(|(name, image)| {
        let beside = |ending: &str| first_existing([folder.join(format!("{name}{ending}"))]);
        Some(Row {
            rgb_image: image,
            depth_image: beside("_depth.png")?,
            labels_image: beside("_labels.png"),
            intrinsics: None,
        })
    });
    Ok(with_depth.collect())
}

fn rows_of_table(path: &Path) -> Result<Vec<Row>> {
    let folder = folder_of(path);
    let lines = JsonLines::open(path)?;
    let rows = (0..lines.len()).map(|i| {
        let row: Row = lines.read(i)?;
        Ok(Row {
            rgb_image: folder.join(row.rgb_image),
            depth_image: folder.join(row.depth_image),
            labels_image: row.labels_image.map(|path| folder.join(path)),
            intrinsics: row.intrinsics,
        })
    });
    rows.collect()
}

fn names(list: &Path) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(list).map_err(|e| Error::io(list, e))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn intrinsics(file: &Path) -> Result<Option<Intrinsics>> {
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?;
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|e| Error::Config {
        path: file.into(),
        why: e.to_string(),
    })
}
