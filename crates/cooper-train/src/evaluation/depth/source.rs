//! Images with true depth: from a folder, from a table, or generated.

use std::path::{Path, PathBuf};

use cooper_imaging::{load_grey, load_rgb};
use cooper_model::{Error, Result};
use image::RgbImage;
use serde::Deserialize;

use crate::evaluation::files::{Broken, first_existing, folder_of, images_in, read_json_lines};
use crate::evaluation::npy::read_npy;
use crate::evaluation::scene_set::SceneSet;

/// True depth; whatever is not above 0 and finite is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthTruth {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row-major.
    pub metres: Vec<f32>,
}

/// An image with its true depth.
#[derive(Clone, Debug)]
pub struct DepthSample {
    /// What it is called in reports.
    pub name: String,
    /// What the model gets.
    pub image: RgbImage,
    /// Its true depth, perhaps at another size.
    pub truth: DepthTruth,
}

/// Where samples come from; each is loaded when it is asked for.
#[derive(Clone, Debug)]
pub enum DepthSource {
    /// Files.
    Files {
        /// Pairs in the order of their names or rows.
        pairs: Vec<DepthPair>,
        /// Whole numbers in files are so many to the metre.
        per_metre: f64,
    },
    /// Generated ones.
    Scenes(Box<SceneSet>),
}

/// An image's and its truth's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepthPair {
    name: String,
    image: PathBuf,
    truth: PathBuf,
}

#[derive(Deserialize)]
struct DepthEntry {
    rgb_image: PathBuf,
    depth_image: PathBuf,
}

impl DepthSource {
    /// A folder with `x.png` or `x.jpg` beside `x_depth.png`, `x_depth.npy` or `x.npy`, or a table of JSON lines
    /// with `rgb_image` and `depth_image`, whose paths are meant from its own folder.
    ///
    /// Grey images and whole numbers count in 1 / `per_metre`, floats in metres.
    ///
    /// # Errors
    /// If the folder or the table cannot be read.
    pub fn files(path: &Path, per_metre: f64) -> Result<(Self, Vec<Broken>)> {
        let (pairs, broken) = if path.is_dir() {
            folder(path)?
        } else {
            table(path)?
        };
        Ok((Self::Files { pairs, per_metre }, broken))
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Files { pairs, .. } => pairs.len(),
            Self::Scenes(set) => set.n,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What sample `i` is called.
    pub fn name(&self, i: usize) -> String {
        match self {
            Self::Files { pairs, .. } => pairs.get(i).map(|p| p.name.clone()).unwrap_or_default(),
            Self::Scenes(_) => format!("scene {i}"),
        }
    }

    /// Load sample `i`.
    ///
    /// # Errors
    /// About its files; [`Error::Internal`] if there is no such sample.
    pub fn load(&self, i: usize) -> Result<DepthSample> {
        match self {
            Self::Files { pairs, per_metre } => {
                let missing = || Error::Internal(format!("there is no sample {i}"));
                let pair = pairs.get(i).ok_or_else(missing)?;
                Ok(DepthSample {
                    name: pair.name.clone(),
                    image: load_rgb(&pair.image)?,
                    truth: DepthTruth::read(&pair.truth, *per_metre)?,
                })
            }
            Self::Scenes(set) => {
                let scene = set.scene(i);
                Ok(DepthSample {
                    name: self.name(i),
                    truth: DepthTruth {
                        width: set.config.width,
                        height: set.config.height,
                        metres: scene.depth,
                    },
                    image: scene.image,
                })
            }
        }
    }
}

impl DepthTruth {
    /// A 16-bit grey PNG or an array file.
    ///
    /// # Errors
    /// If it cannot be read or is something else.
    pub fn read(path: &Path, per_metre: f64) -> Result<Self> {
        let ending = path.extension().unwrap_or_default();
        if ending.eq_ignore_ascii_case("npy") {
            let array = read_npy(path)?;
            let unit = if array.is_integer { per_metre } else { 1.0 };
            return Ok(Self {
                width: array.width,
                height: array.height,
                metres: array.values.iter().map(|v| (v / unit) as f32).collect(),
            });
        }
        let (width, height, values, is_16_bit) = load_grey(path)?;
        if !is_16_bit {
            let why = "expected 16-bit grey for depth, got 8 bits";
            return Err(Error::invalid(path.display().to_string(), why));
        }
        let metres = |v: u16| (f64::from(v) / per_metre) as f32;
        Ok(Self {
            width,
            height,
            metres: values.into_iter().map(metres).collect(),
        })
    }
}

fn folder(path: &Path) -> Result<(Vec<DepthPair>, Vec<Broken>)> {
    let (mut pairs, mut broken) = (Vec::new(), Vec::new());
    for (name, image) in images_in(path)? {
        let candidates = ["_depth.png", "_depth.npy", ".npy"];
        match first_existing(candidates.map(|ending| path.join(format!("{name}{ending}")))) {
            Some(truth) => pairs.push(DepthPair { name, image, truth }),
            None => broken.push(Broken {
                why: format!("expected {name}_depth.png, {name}_depth.npy or {name}.npy, got none"),
                name,
            }),
        }
    }
    Ok((pairs, broken))
}

fn table(path: &Path) -> Result<(Vec<DepthPair>, Vec<Broken>)> {
    let (rows, broken) = read_json_lines::<DepthEntry>(path)?;
    let folder = folder_of(path);
    let pair = |(name, row): (String, DepthEntry)| DepthPair {
        name: format!("{name} {}", row.rgb_image.display()),
        image: folder.join(row.rgb_image),
        truth: folder.join(row.depth_image),
    };
    Ok((rows.into_iter().map(pair).collect(), broken))
}
