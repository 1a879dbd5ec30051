//! The texts that steer the model: data, read from YAML, replaceable.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::transcript::Mode;
use crate::engine::MapKind;
use crate::engine::Views;
use crate::error::{Error, Result};

/// The prompts of our own that are built in.
const BUILT_IN: &str = include_str!("../../config/prompts.yaml");
/// The file in a model directory that replaces them.
const FILE_NAME: &str = "prompts.yaml";

/// All prompts.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
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

    /// Our own words around the two protocol strings.
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

    /// What a conversation of a mode begins with: its system prompt, and how the picture is read.
    pub fn opening(&self, mode: Mode) -> (Option<&str>, Views) {
        match mode {
            Mode::Interleaved => (Some(&self.interleave_system), Views::VaeAndVit),
            Mode::Perception => (Some(&self.perception_system), Views::VaeAndVit),
            Mode::Text => (Some(&self.think_system), Views::Vit),
            Mode::Direct => (None, Views::Vit),
        }
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
    fn a_wrong_key_is_named() {
        let error = Prompts::parse("depth_instructions: x", "p.yaml".into()).unwrap_err();
        assert!(error.to_string().contains("depth_instructions"), "{error}");
    }
}
