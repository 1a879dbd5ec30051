//! Questions about RGB-D files, to measure a model by.

use cooper_model::Result;
use cooper_model::model::ModelConfig;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::palette::ClassSet;
use super::rgbd::RgbdFiles;
use super::target::DenseTarget;
use crate::evaluation::qa::{ImageRef, QaItem, QaSet};
use crate::scene_truth::scene_truth;
use crate::training::task::balanced;

impl RgbdFiles {
    /// At most `per_image` questions about each image, one of each kind in turn; the same ones every time. Classes are called
    /// as in the model's palette.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](cooper_model::Error::InvalidInput) if the model has no palette, or a file cannot be used.
    pub fn questions(&self, config: &ModelConfig, per_image: usize) -> Result<QaSet> {
        let classes = ClassSet::named(config)?;
        let files = self.open(&DenseTarget::default())?;
        files.check_focal()?;
        let mut items = Vec::new();
        for i in 0..files.len() {
            let image = files.load(i)?;
            let Some(labelled) = classes.labelled_image(&image) else {
                continue;
            };
            let questions = labelled.questions(&mut StdRng::seed_from_u64(i as u64));
            for (question, n) in balanced(questions, per_image).into_iter().zip(1..) {
                items.push(QaItem {
                    name: format!("{} #{n}", files.path(i).display()),
                    image_idx: i,
                    kind: question.kind.name().into(),
                    truth: scene_truth(&question),
                    question: question.text,
                });
            }
        }
        let images = (0..files.len()).map(|i| ImageRef::File(files.path(i).into()));
        Ok(QaSet::of_files(items, images.collect()))
    }
}
