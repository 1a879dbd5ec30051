//! A question with its answer, and how models of different modes answer it.

use serde::{Deserialize, Serialize};

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    /// Which of two objects is nearer to the camera, or farther away.
    Nearer,
    /// Which of two objects is on the left in the image, or on the right.
    LeftRight,
    /// Which of two objects is higher over the floor, or lower.
    AboveBelow,
    /// How many objects there are.
    Count,
    /// How far an object is from the camera.
    CameraDistance,
    /// How far two objects are apart.
    ObjectDistance,
    /// How high or wide an object is.
    Size,
    /// Whether there is anything of a kind.
    Presence,
    /// Where an object is, in degrees from the optical axis.
    Direction,
    /// What an object stands on.
    Support,
    /// How far the way ahead is free.
    Ahead,
}

/// A map that helps with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Relative depth.
    Depth,
    /// Segmentation.
    Segmentation,
}

/// A question with a clear answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// What it is about.
    pub kind: QuestionKind,
    /// As it is asked, with the choices if there are any.
    pub text: String,
    /// The short answer: a letter if there are choices.
    pub answer: String,
    /// What the letters stand for, from A on; empty if the answer is free.
    pub choices: Vec<String>,
    /// The true number, not rounded, if one is asked for.
    pub value: Option<f64>,
    /// Of `value`.
    pub unit: Option<&'static str>,
    /// The objects it is about, as indices into the scene's objects.
    pub objects: Vec<usize>,
    /// The facts from which the answer follows.
    pub thought: String,
}

impl QuestionKind {
    /// Those that are asked about analytic scenes.
    pub const OF_SCENES: [Self; 7] = [
        Self::Nearer,
        Self::LeftRight,
        Self::AboveBelow,
        Self::Count,
        Self::CameraDistance,
        Self::ObjectDistance,
        Self::Size,
    ];

    /// The name in files, for example `left_right`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearer => "nearer",
            Self::LeftRight => "left_right",
            Self::AboveBelow => "above_below",
            Self::Count => "count",
            Self::CameraDistance => "camera_distance",
            Self::ObjectDistance => "object_distance",
            Self::Size => "size",
            Self::Presence => "presence",
            Self::Direction => "direction",
            Self::Support => "support",
            Self::Ahead => "ahead",
        }
    }

    /// The map that helps, if one does.
    pub fn tool(self) -> Option<Tool> {
        match self {
            Self::Nearer
            | Self::CameraDistance
            | Self::ObjectDistance
            | Self::Size
            | Self::Ahead => Some(Tool::Depth),
            Self::Count | Self::Presence | Self::Support => Some(Tool::Segmentation),
            Self::LeftRight | Self::AboveBelow | Self::Direction => None,
        }
    }
}

impl Question {
    /// The map that helps, if one does.
    pub fn tool(&self) -> Option<Tool> {
        self.kind.tool()
    }

    /// The short answer in words: of a letter, what it stands for.
    pub fn in_words(&self) -> &str {
        let letter = self.answer.bytes().next().unwrap_or_default();
        let chosen = self.choices.get(usize::from(letter.wrapping_sub(b'A')));
        chosen.unwrap_or(&self.answer)
    }

    /// The boxed answer, in words: looking up a letter is the last thing that a small model learns, and the words of a
    /// choice count as its letter.
    pub fn answer_text(&self) -> String {
        format!("\\boxed{{{}}}", self.in_words())
    }

    /// What a model that does not reason says.
    pub fn direct(&self) -> String {
        self.answer_text()
    }

    /// What a model that reasons without maps says.
    pub fn text_reasoning(&self) -> String {
        format!("<think>{}</think>\n{}", self.thought, self.answer_text())
    }

    /// The turns of a model that may draw; `instruction` asks for the map of [`Question::tool`].
    ///
    /// Two turns if a map helps, the first of which asks for it; else the last one alone.
    pub fn interleaved(&self, instruction: &str) -> Vec<String> {
        let wish = match self.tool() {
            Some(Tool::Depth) => Some("A depth map helps here."),
            Some(Tool::Segmentation) => Some("A segmentation helps here."),
            None => None,
        };
        let call = wish.map(|wish| format!("<think>{wish}</think>\n{instruction}"));
        let last = format!(
            "<think>{}</think>\n<answer>{}</answer>",
            self.thought,
            self.answer_text()
        );
        call.into_iter().chain([last]).collect()
    }
}
