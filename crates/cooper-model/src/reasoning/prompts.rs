//! System prompts and instructions, read from YAML.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::transcript::Mode;
use crate::engine::{MapKind, Views};
use crate::error::{Error, Result};

/// The prompts of our own that are built in.
const BUILT_IN: &str = include_str!("../../../../config/prompts.yaml");
/// The file in a model directory that replaces them.
const FILE_NAME: &str = "prompts.yaml";

/// All prompts.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// Asks for a depth map; what the model was trained on and writes itself.
    pub depth_instruction: String,
    /// Asks for a segmentation; what the model was trained on and writes itself.
    pub segmentation_instruction: String,
    /// System prompt of the interleaved mode.
    pub interleave_system: String,
    /// System prompt of the perception-enhanced mode.
    pub perception_system: String,
    /// System prompt of the textual mode.
    pub think_system: String,
    /// Follows each drawn map in the interleaved mode.
    pub reflection: String,
    /// Questions about places; a file may leave them out.
    #[serde(default)]
    pub place: PlacePrompts,
}

/// Questions for the place of an object and for the object at a place; both are answered in the direct mode.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlacePrompts {
    /// `{object}` stands for its name with an article. The answer's first two numbers are the place, in percent of the
    /// image's width from the left and of its height from the top.
    pub locate: String,
    /// `{x}` and `{y}` stand for such a place. The answer is a name.
    pub name: String,
}

impl Default for PlacePrompts {
    fn default() -> Self {
        let locate = "Where in the picture is {object}? Answer with two whole numbers in \\boxed{}: the percentage of the \
                      width, from the left, and the percentage of the height, from the top.";
        let name = "What is at {x} percent of the picture's width, from the left, and {y} percent of its height, from \
                    the top? Answer with its name alone in \\boxed{}.";
        Self {
            locate: locate.into(),
            name: name.into(),
        }
    }
}

impl PlacePrompts {
    /// The question for the place of an object.
    pub fn locate(&self, object: &str) -> String {
        self.locate.replace("{object}", object)
    }

    /// The question for what is at a place, in whole percent of the image's width and height.
    pub fn name(&self, [x, y]: [u32; 2]) -> String {
        let name = self.name.replace("{x}", &format!("{x:02}"));
        name.replace("{y}", &format!("{y:02}"))
    }
}

impl Prompts {
    /// From `file` if given, else from `prompts.yaml` in the model directory, else the built-in ones.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Config`] about the file.
    pub fn load(file: Option<&Path>, model_dir: &Path) -> Result<Self> {
        let in_model = model_dir.join(FILE_NAME);
        match file {
            Some(file) => Self::read(file),
            None if in_model.exists() => Self::read(&in_model),
            None => Self::built_in(),
        }
    }

    /// The built-in prompts, around the two strings of the protocol.
    ///
    /// # Errors
    /// None, as a test holds.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN, "config/prompts.yaml".into())
    }

    /// The instruction that asks for a map.
    pub fn instruction(&self, kind: MapKind) -> &str {
        match kind {
            MapKind::Depth => &self.depth_instruction,
            MapKind::Segmentation => &self.segmentation_instruction,
        }
    }

    /// What a conversation of a mode begins with: its system prompt, and how the image is read.
    pub fn opening(&self, mode: Mode) -> (Option<&str>, Views) {
        match mode {
            Mode::Interleaved => (Some(&self.interleave_system), Views::VaeAndVit),
            Mode::Perception => (Some(&self.perception_system), Views::VaeAndVit),
            Mode::Text => (Some(&self.think_system), Views::Vit),
            Mode::Direct => (None, Views::Vit),
        }
    }

    /// As a file for [`Self::load`].
    ///
    /// # Errors
    /// [`Error::Internal`]: none, as a test holds.
    pub fn to_yaml(&self) -> Result<String> {
        serde_yaml::to_string(self).map_err(|e| Error::Internal(format!("prompts as YAML: {e}")))
    }

    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?;
        Self::parse(&text, file.into())
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self> {
        serde_yaml::from_str(text).map_err(|e| Error::Config {
            path,
            why: e.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasoning::turn::{Step, parse_turn};

    #[test]
    fn the_built_in_prompts_parse_and_their_instructions_are_tool_calls() {
        let prompts = Prompts::load(None, Path::new("/nowhere")).unwrap();
        for kind in [MapKind::Depth, MapKind::Segmentation] {
            let instruction = prompts.instruction(kind);
            assert_eq!(
                parse_turn(instruction),
                Step::Draw(kind, instruction.into())
            );
            assert!(prompts.interleave_system.contains(instruction));
        }
    }

    #[test]
    fn a_file_may_leave_out_the_questions_about_places() {
        let whole = Prompts::built_in().unwrap();
        let at = BUILT_IN.find("# Questions about places").unwrap();
        let without = Prompts::parse(&BUILT_IN[..at], "p.yaml".into()).unwrap();
        assert_eq!(without, whole);
        assert_eq!(whole.place.name([7, 61]).matches(" 07 percent").count(), 1);
        assert!(whole.place.locate("the box").contains("is the box?"));
    }

    #[test]
    fn prompts_are_read_as_they_were_written() {
        let mut prompts = Prompts::built_in().unwrap();
        prompts.reflection = "\n: 'x'  \n\n- \\boxed{{}}\t\"ä\"\n".into();
        let again = Prompts::parse(&prompts.to_yaml().unwrap(), "p.yaml".into());
        assert_eq!(again.unwrap(), prompts);
    }

    #[test]
    fn a_wrong_key_is_named() {
        let error = Prompts::parse("depth_instructions: x", "p.yaml".into()).unwrap_err();
        assert!(error.to_string().contains("depth_instructions"), "{error}");
    }
}
