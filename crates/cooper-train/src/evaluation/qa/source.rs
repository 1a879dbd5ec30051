//! Where sets of questions come from, and how their images are loaded.

use std::path::Path;

use cooper_imaging::load_rgb;
use cooper_model::{Error, Result};
use image::RgbImage;

use super::item::{ImageRef, QaItem, QaSet, Store};
use super::{jsonl, scenes, tsv};
use crate::evaluation::scene_set::SceneSet;

impl QaSet {
    /// Rows of a table: VLMEvalKit's if its name ends in `.tsv`, else JSON lines.
    ///
    /// Images that are named by a path are looked for in `folder`, else beside the table.
    ///
    /// # Errors
    /// If the table cannot be read or has no column that could hold questions.
    pub fn table(path: &Path, folder: Option<&Path>) -> Result<Self> {
        let ending = path.extension().unwrap_or_default();
        if ending.eq_ignore_ascii_case("tsv") {
            tsv::read(path, folder)
        } else {
            jsonl::read(path, folder)
        }
    }

    /// At most `per_scene` questions about each scene; the same ones every time.
    pub fn scenes(scenes: SceneSet, per_scene: usize) -> Self {
        scenes::generate(scenes, per_scene)
    }

    /// Questions about images in files of their own.
    pub(crate) fn of_files(items: Vec<QaItem>, images: Vec<ImageRef>) -> Self {
        Self {
            items,
            images,
            broken: Vec::new(),
            store: Store::Files,
        }
    }

    /// Ask every question in the words of `template`, where `{question}` stands for it.
    pub fn reworded(mut self, template: &str) -> Self {
        for item in &mut self.items {
            item.question = template.replace("{question}", &item.question);
        }
        self
    }

    /// Load image `i`.
    ///
    /// # Errors
    /// About the image; [`Error::Internal`] if there is no such image.
    pub fn image(&self, i: usize) -> Result<RgbImage> {
        let missing = || Error::Internal(format!("there is no image {i}"));
        match (self.images.get(i).ok_or_else(missing)?, &self.store) {
            (ImageRef::File(path), _) => Ok(load_rgb(path)?),
            (ImageRef::Row(at), Store::Table(path)) => tsv::image(path, *at),
            (ImageRef::Scene(index), Store::Scenes(set)) => Ok(set.scene(*index).image),
            _ => Err(missing()),
        }
    }
}
