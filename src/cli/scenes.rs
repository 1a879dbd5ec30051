//! `cooper scenes`: synthetic scenes with truth, as the public training sets are laid out.

mod furnished;
mod rows;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cooper_model::{Error, Result};
use cooper_scenes::{FurnishedConfig, Object, Question, Scene, SceneConfig, Split};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::output;
use super::progress::note;
use rows::{Lines, camera_row, depth_row, name, segmentation_row, write_depth, write_labels};

/// Lines of progress.
const LINES: u64 = 10;

/// Draw synthetic rooms with depth, segmentation, questions and answers
#[derive(Debug, Args)]
pub(super) struct ScenesArgs {
    /// The folder to write to; it is made if it does not exist
    #[arg(value_name = "OUT_DIR")]
    folder: PathBuf,
    /// How many scenes
    #[arg(long, default_value_t = 100, value_name = "N")]
    n: u64,
    /// The set they are taken from; no scene is in two sets
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    split: SplitName,
    /// The number of the first scene
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Pixels of a row
    #[arg(long, default_value_t = 128)]
    width: u32,
    /// Rows
    #[arg(long, default_value_t = 96)]
    height: u32,
    /// Rooms of coloured solids, or with textured furniture
    #[arg(long, value_enum, default_value_t = Kind::Analytic)]
    kind: Kind,
    /// With --kind furnished: furniture catalogues (*.sh3f) [default: those of the package sweethome3d-furniture]
    #[arg(long, value_name = "DIR")]
    furniture: Option<PathBuf>,
    /// With --kind furnished: whole buildings, each a folder with a world.json
    #[arg(long, value_name = "DIR")]
    worlds: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Analytic,
    Furnished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SplitName {
    Train,
    Validation,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Validation => Self::Validation,
            SplitName::Test => Self::Test,
        }
    }
}

/// The tables beside the images.
#[derive(Default)]
struct Tables {
    depth: Lines,
    segmentation: Lines,
    qa: Lines,
    scenes: Vec<Value>,
}

impl ScenesArgs {
    /// Write the images, then the tables that name them.
    pub(super) fn run(self) -> Result<()> {
        let config = SceneConfig {
            width: self.width,
            height: self.height,
            ..SceneConfig::default()
        };
        let Some(end) = self.start.checked_add(self.n) else {
            let why = format!("expected a smaller number, got {}", self.start);
            return Err(Error::invalid("--start", why));
        };
        if self.kind == Kind::Analytic && (self.furniture.is_some() || self.worlds.is_some()) {
            let why = "expected --kind furnished beside it, got --kind analytic";
            return Err(Error::invalid("--furniture, --worlds", why));
        }
        if self.kind == Kind::Furnished {
            let config = FurnishedConfig {
                furniture: self.furniture,
                worlds: self.worlds,
                width: self.width,
                height: self.height,
                ..FurnishedConfig::default()
            };
            return furnished::write(&self.folder, config, self.split.into(), self.start..end);
        }
        config.check()?;
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        let mut tables = Tables::default();
        for index in self.start..end {
            let scene = Scene::generate(&config, self.split.into(), index);
            write_scene(&self.folder, &scene)?;
            tables.add(&scene);
            let n_done = index - self.start + 1;
            if n_done * LINES / self.n > (n_done - 1) * LINES / self.n {
                note(&format!("scenes: {n_done} of {}", self.n));
            }
        }
        tables.write(&self.folder)
    }
}

fn write_scene(folder: &Path, scene: &Scene) -> Result<()> {
    let size = scene.image.dimensions().into();
    let path = |ending| folder.join(name(scene.index, ending));
    output::write_rgb_png(&path(""), &scene.image)?;
    write_depth(&path("_depth"), size, &scene.depth)?;
    output::write_rgb_png(&path("_segmentation"), &scene.segmentation_image())?;
    write_labels(&path("_ids"), size, &scene.ids)
}

impl Tables {
    fn add(&mut self, scene: &Scene) {
        let image = name(scene.index, "");
        self.depth.push(&depth_row(scene.index));
        self.segmentation.push(&segmentation_row(scene.index));
        // A scene's questions depend on nothing but its number.
        let mut rng = StdRng::seed_from_u64(scene.index);
        for question in scene.questions(&mut rng) {
            self.qa.push(&question_row(&image, &question));
        }
        self.scenes.push(scene_row(scene));
    }

    fn write(&self, folder: &Path) -> Result<()> {
        for (file, lines) in [
            ("depth.jsonl", &self.depth),
            ("segmentation.jsonl", &self.segmentation),
            ("qa.jsonl", &self.qa),
        ] {
            output::write(&folder.join(file), lines.0.as_bytes())?;
        }
        output::write_json(&folder.join("scenes.json"), &self.scenes)
    }
}

fn question_row(image: &str, question: &Question) -> Value {
    json!({
        "image": image,
        "question": question.text,
        "answer": question.answer,
        "kind": question.kind,
        "choices": question.choices,
        "value": question.value,
        "unit": question.unit,
    })
}

fn scene_row(scene: &Scene) -> Value {
    json!({
        "image": name(scene.index, ""),
        "index": scene.index,
        "split": scene.split,
        "camera": camera_row(&scene.camera),
        "objects": scene.objects.iter().map(object_row).collect::<Vec<_>>(),
    })
}

fn object_row(object: &Object) -> Value {
    let bounds = object.bounding_box;
    json!({
        "name": object.name(),
        "category": object.category(),
        "color": object.color,
        "center_in_world": object.center_in_world().coords.as_slice(),
        "center_in_camera": object.center_in_camera.coords.as_slice(),
        "half_extents_m": object.solid.half.as_slice(),
        "yaw_rad": object.solid.yaw,
        "height_m": object.height_m(),
        "width_m": object.width_m(),
        "stands_on": object.stands_on,
        "visible_pixels": object.visible_pixels,
        "bounding_box": [bounds.x, bounds.y, bounds.width, bounds.height],
        "centroid": [object.centroid.x, object.centroid.y],
        "nearest_m": object.nearest_m,
    })
}
