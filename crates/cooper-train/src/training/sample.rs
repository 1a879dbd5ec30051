//! A training sample before it is packed: texts, images that are read, images that are drawn.

use std::sync::Arc;

use cooper_model::engine::Views;
use image::RgbImage;

/// One split of a sample.
#[derive(Clone, Debug)]
pub enum Part {
    /// A text between its start and end token.
    Text {
        /// Its words.
        text: String,
        /// Who wrote them.
        by: Author,
    },
    /// A text by its ids, as the model wrote it.
    Ids {
        /// The start token first.
        ids: Vec<u32>,
        /// How many of the ids behind the start token carry a loss.
        n_spoken: usize,
        /// Whether nothing came of it: what follows does not see it.
        aside: bool,
    },
    /// An image that is read.
    Read {
        /// The image.
        image: Arc<RgbImage>,
        /// With which encoders.
        views: Views,
    },
    /// An image that the model shall draw here.
    Draw(Target),
}

/// Who wrote a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// Our prompts: control tokens count, no loss.
    Prompt,
    /// Somebody who asks: words only, no loss.
    User,
    /// The model: it shall write this.
    Model,
}

/// What is to be drawn.
#[derive(Clone, Debug)]
pub enum Target {
    /// An image.
    Image(Arc<RgbImage>),
    /// Depth in [0, 1], row-major, drawn as a grey image.
    Depth {
        /// The values.
        values: Arc<Vec<f32>>,
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// A trunk, and endings that go on from it without seeing each other.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// What all endings see.
    pub trunk: Vec<Part>,
    /// Endings; may be none.
    pub branches: Vec<Vec<Part>>,
}

impl Part {
    /// A prompt of ours.
    pub fn prompt(text: &str) -> Self {
        Self::text(text, Author::Prompt)
    }

    /// A user's words.
    pub fn user(text: &str) -> Self {
        Self::text(text, Author::User)
    }

    /// What the model shall write.
    pub fn model(text: &str) -> Self {
        Self::text(text, Author::Model)
    }

    fn text(text: &str, by: Author) -> Self {
        Self::Text {
            text: text.into(),
            by,
        }
    }

    /// An image to read.
    pub fn read(image: &Arc<RgbImage>, views: Views) -> Self {
        Self::Read {
            image: image.clone(),
            views,
        }
    }
}
