//! Images with true regions: from a folder, from a table, or generated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cooper_imaging::{load_grey, load_rgb};
use cooper_model::{Error, Result};
use cooper_scenes::FIRST_OBJECT;
use image::{Rgb, RgbImage};
use serde::Deserialize;

use crate::evaluation::files::{Broken, first_existing, folder_of, images_in, read_json_lines};
use crate::evaluation::scene_set::SceneSet;

/// More flat colours than this are a photograph.
const MAX_PAINTS: usize = 1024;
/// Levels of a channel in the paints of ids; far enough apart for region finding.
const LEVELS: u16 = 5;

/// True regions.
#[derive(Clone, Debug)]
pub struct SegmentationTruth {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row-major.
    pub ids: Vec<u16>,
    /// Ids from here on are objects; the others are what they stand before.
    pub first_object: u16,
    /// The truth as it should be drawn; where no file says so, in colours of our own.
    pub image: RgbImage,
    /// Row-major ids of classes in a model's palette, 255 where there is none; none if the classes are not known.
    pub classes: Option<Vec<u8>>,
}

/// An image with its true regions.
#[derive(Clone, Debug)]
pub struct SegmentationSample {
    /// What it is called in reports.
    pub name: String,
    /// What the model gets.
    pub image: RgbImage,
    /// What it should draw, perhaps at another size.
    pub truth: SegmentationTruth,
}

/// Where samples come from; each is loaded when it is asked for.
#[derive(Clone, Debug)]
pub enum SegmentationSource {
    /// Files.
    Files {
        /// In the order of their names or rows.
        samples: Vec<SegmentationFiles>,
        /// See [`SegmentationTruth::first_object`].
        first_object: u16,
    },
    /// Generated ones.
    Scenes(Box<SceneSet>),
}

/// An image's file and those of its truth, of which there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentationFiles {
    name: String,
    image: PathBuf,
    ids: Option<PathBuf>,
    paint: Option<PathBuf>,
    labels: Option<PathBuf>,
}

#[derive(Deserialize)]
struct SegmentationEntry {
    rgb_image: PathBuf,
    ids_image: Option<PathBuf>,
    seg_image: Option<PathBuf>,
    labels_image: Option<PathBuf>,
}

impl SegmentationSource {
    /// A folder with `x.png` or `x.jpg` beside `x_ids.png` (grey: a pixel's id), `x_segmentation.png` (flat colours) or
    /// `x_labels.png` (grey: the id of a pixel's class), or a table of JSON lines with `rgb_image`, and `ids_image`, `seg_image`
    /// or `labels_image`.
    ///
    /// # Errors
    /// If the folder or the table cannot be read.
    pub fn files(path: &Path, first_object: u16) -> Result<(Self, Vec<Broken>)> {
        let (found, mut broken) = if path.is_dir() {
            folder(path)?
        } else {
            table(path)?
        };
        let (samples, bare): (Vec<_>, Vec<_>) = found.into_iter().partition(|files| {
            [&files.ids, &files.paint, &files.labels]
                .iter()
                .any(|f| f.is_some())
        });
        broken.extend(bare.into_iter().map(|files| Broken {
            name: files.name,
            why:
                "expected an image of ids, of flat colours or of labels beside it, got none".into(),
        }));
        let source = Self::Files {
            samples,
            first_object,
        };
        Ok((source, broken))
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Files { samples, .. } => samples.len(),
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
            Self::Files { samples, .. } => {
                samples.get(i).map(|s| s.name.clone()).unwrap_or_default()
            }
            Self::Scenes(_) => format!("scene {i}"),
        }
    }

    /// Load sample `i`.
    ///
    /// # Errors
    /// About its files; [`Error::Internal`] if there is no such sample.
    pub fn load(&self, i: usize) -> Result<SegmentationSample> {
        match self {
            Self::Files {
                samples,
                first_object,
            } => {
                let missing = || Error::Internal(format!("there is no sample {i}"));
                let files = samples.get(i).ok_or_else(missing)?;
                Ok(SegmentationSample {
                    name: files.name.clone(),
                    image: load_rgb(&files.image)?,
                    truth: files.truth(*first_object)?,
                })
            }
            Self::Scenes(set) => {
                let scene = set.scene(i);
                Ok(SegmentationSample {
                    name: self.name(i),
                    truth: SegmentationTruth {
                        width: set.config.width,
                        height: set.config.height,
                        ids: scene.ids.iter().copied().map(u16::from).collect(),
                        first_object: FIRST_OBJECT.into(),
                        image: scene.segmentation_image(),
                        classes: None,
                    },
                    image: scene.image,
                })
            }
        }
    }
}

impl SegmentationFiles {
    fn truth(&self, first_object: u16) -> Result<SegmentationTruth> {
        let painted = self.paint.as_deref().map(load_rgb).transpose()?;
        let labels = self.labels.as_deref().map(load_grey).transpose()?;
        let (width, height, ids, first_object, image) = match (&self.ids, painted, &labels) {
            (Some(ids), painted, _) => {
                let (width, height, ids, _) = load_grey(ids)?;
                let of_its_size = painted.filter(|p| p.dimensions() == (width, height));
                let image = of_its_size.unwrap_or_else(|| paint(&ids, width, height));
                (width, height, ids, first_object, image)
            }
            (None, Some(image), _) => {
                let ids = ids_of(&image).ok_or_else(|| {
                    let why = format!("expected at most {MAX_PAINTS} flat colours, got more");
                    Error::invalid(self.name.as_str(), why)
                })?;
                // Colours alone do not say what is an object.
                (image.width(), image.height(), ids, 0, image)
            }
            (None, None, Some((width, height, labels, _))) => {
                let image = paint(labels, *width, *height);
                // Labels do not tell one object from another of its class.
                (*width, *height, labels.clone(), u16::MAX, image)
            }
            (None, None, None) => {
                return Err(Error::Internal(format!("{} has no truth", self.name)));
            }
        };
        Ok(SegmentationTruth {
            width,
            height,
            ids,
            first_object,
            image,
            classes: labels
                .map(|labels| self.classes(labels, (width, height)))
                .transpose()?,
        })
    }

    fn classes(
        &self,
        (width, height, labels, _): (u32, u32, Vec<u16>, bool),
        expected: (u32, u32),
    ) -> Result<Vec<u8>> {
        if (width, height) != expected {
            let why = format!(
                "labels: expected {}x{}, got {width}x{height}",
                expected.0, expected.1
            );
            return Err(Error::invalid(self.name.as_str(), why));
        }
        let class = |label: u16| u8::try_from(label).unwrap_or(u8::MAX);
        Ok(labels.into_iter().map(class).collect())
    }
}

/// Each colour's number in the order of appearance; none if there are too many.
fn ids_of(image: &RgbImage) -> Option<Vec<u16>> {
    let mut numbers = BTreeMap::<[u8; 3], u16>::new();
    let number = |pixel: &Rgb<u8>| {
        let next = numbers.len();
        let number = *numbers.entry(pixel.0).or_insert(next as u16);
        (usize::from(number) < MAX_PAINTS).then_some(number)
    };
    image.pixels().map(number).collect()
}

/// Ids in colours that are far apart, as long as there are no more than 125.
fn paint(ids: &[u16], width: u32, height: u32) -> RgbImage {
    let mut distinct: Vec<u16> = ids.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut ids = ids.iter();
    RgbImage::from_fn(width, height, |_, _| {
        let id = ids.next().copied().unwrap_or_default();
        let i = distinct.binary_search(&id).unwrap_or_default() as u16 % LEVELS.pow(3);
        let channel = |digit: u16| (digit % LEVELS * 63) as u8;
        Rgb([
            channel(i),
            channel(i / LEVELS),
            channel(i / LEVELS / LEVELS),
        ])
    })
}

type Found = (Vec<SegmentationFiles>, Vec<Broken>);

fn folder(path: &Path) -> Result<Found> {
    let files = |(name, image): (String, PathBuf)| SegmentationFiles {
        ids: first_existing([path.join(format!("{name}_ids.png"))]),
        paint: first_existing([path.join(format!("{name}_segmentation.png"))]),
        labels: first_existing([path.join(format!("{name}_labels.png"))]),
        name,
        image,
    };
    Ok((
        images_in(path)?.into_iter().map(files).collect(),
        Vec::new(),
    ))
}

fn table(path: &Path) -> Result<Found> {
    let (rows, broken) = read_json_lines::<SegmentationEntry>(path)?;
    let folder = folder_of(path);
    let files = |(name, row): (String, SegmentationEntry)| SegmentationFiles {
        name: format!("{name} {}", row.rgb_image.display()),
        image: folder.join(row.rgb_image),
        ids: row.ids_image.map(|ids| folder.join(ids)),
        paint: row.seg_image.map(|paint| folder.join(paint)),
        labels: row.labels_image.map(|labels| folder.join(labels)),
    };
    Ok((rows.into_iter().map(files).collect(), broken))
}

#[cfg(test)]
mod tests {
    use cooper_model::perception::Segmentation;

    use super::*;

    #[test]
    fn painted_ids_are_found_again_as_regions() {
        // Nine squares of 10 x 10 with nine ids.
        let ids: Vec<u16> = (0..900).map(|i| i % 30 / 10 + i / 300 * 3 + 7).collect();
        let image = paint(&ids, 30, 30);
        let found = Segmentation::from_colors(image.clone());
        assert_eq!(found.regions.len(), 9);
        let numbers = ids_of(&image).unwrap();
        assert_eq!((numbers[0], numbers[899]), (0, 8));
    }

    #[test]
    fn a_photograph_is_no_truth() {
        let photograph = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, 0]));
        assert_eq!(ids_of(&photograph), None);
    }
}
