//! A question with its true answer, and sets of them.

use std::path::PathBuf;

use cooper_model::reasoning::answers::Truth;

use crate::evaluation::files::Broken;
use crate::evaluation::scene_set::SceneSet;

/// A question about an image.
#[derive(Clone, Debug, PartialEq)]
pub struct QaItem {
    /// What it is called in reports.
    pub name: String,
    /// Which of the set's images it is about.
    pub image_idx: usize,
    /// As it is asked.
    pub question: String,
    /// What it is about; tables have a row for each.
    pub kind: String,
    /// The true answer.
    pub truth: Truth,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageRef {
    /// A PNG or JPEG.
    File(PathBuf),
    /// In base64 in the row of a table that begins at this byte.
    Row(u64),
    /// A scene's number.
    Scene(usize),
}

/// Questions, and the images that they are about.
#[derive(Clone, Debug)]
pub struct QaSet {
    /// In order.
    pub items: Vec<QaItem>,
    /// Loaded when they are asked for.
    pub images: Vec<ImageRef>,
    /// Rows that are no questions.
    pub broken: Vec<Broken>,
    pub(super) store: Store,
}

/// What images are loaded from besides their own files.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Files,
    Table(PathBuf),
    Scenes(Box<SceneSet>),
}
