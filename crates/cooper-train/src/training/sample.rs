//! A training sample before it is packed: texts, images that are read, images that are drawn.

use std::sync::Arc;

use cooper_model::engine::Views;
use image::RgbImage;

/// One part of a sample.
#[derive(Clone, Debug)]
pub enum Part {
    /// A text between its start and end token.
    Text {
        /// The text.
        text: String,
        /// Who wrote it.
        by: Author,
    },
    /// A text by its ids, as the model wrote it.
    Ids {
        /// The start token first.
        ids: Vec<u32>,
        /// How many of the ids behind the start token have a loss.
        n_labels: usize,
        /// Whether what follows attends to it.
        visibility: Visibility,
    },
    /// An image that is read.
    Read {
        /// The image.
        image: Arc<RgbImage>,
        /// With which encoders.
        views: Views,
    },
    /// An image that the model learns to draw here.
    Draw(Target),
}

/// Whether what follows a text attends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// What follows attends to it.
    Context,
    /// Nothing attends to it but itself.
    Aside,
}

/// Who wrote a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A prompt: control tokens are encoded as such, no loss.
    Prompt,
    /// The user: control tokens are plain text, no loss.
    User,
    /// The model: the loss is on this text.
    Model,
}

/// What the model learns to draw.
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

/// A trunk, and branches that continue it without attending to each other.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// What all branches attend to.
    pub trunk: Vec<Part>,
    /// Branches; may be empty.
    pub branches: Vec<Vec<Part>>,
}

impl Part {
    /// A prompt.
    pub fn prompt(text: &str) -> Self {
        Self::text(text, Author::Prompt)
    }

    /// A user's text.
    pub fn user(text: &str) -> Self {
        Self::text(text, Author::User)
    }

    /// A text that the model learns to write.
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
