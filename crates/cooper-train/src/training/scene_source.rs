//! Samples from generated scenes.

use cooper_model::reasoning::Prompts;
use cooper_scenes::{Scene, SceneConfig, Split};
use rand::rngs::StdRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::Sample;
use super::sample_builder::{KnownMaps, SampleBuilder};
use super::task::{TaskWeights, balanced};

/// Samples of generated scenes: each is of one task, drawn by weight.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SceneTasks {
    /// The ranges of the scenes.
    pub scenes: SceneConfig,
    /// The first scene's number; another one gives a run other scenes.
    pub first: u64,
    /// Questions about a scene, at most.
    pub questions: usize,
    /// The depths that are drawn as 0 and 1, metres.
    pub depth_range_m: [f32; 2],
    /// Weight of: answer at once.
    pub direct: f64,
    /// Weight of: think, then answer.
    pub text: f64,
    /// Weight of: answer from both maps.
    pub perception: f64,
    /// Weight of: think, look at a map where it helps, think, answer.
    pub interleaved: f64,
    /// Weight of: draw the depth map and the segmentation.
    pub draw: f64,
    /// Weight of: name what is at a place, and say where something is.
    pub grounding: f64,
    /// Weight of: grounding with both maps in view.
    pub grounding_in_maps: f64,
    /// Also train to draw the maps that appear in conversations, besides reading them.
    pub draw_within: bool,
}

impl Default for SceneTasks {
    fn default() -> Self {
        Self {
            scenes: SceneConfig::default(),
            first: 0,
            questions: 4,
            depth_range_m: [0.0, 10.0],
            direct: 0.0,
            text: 0.0,
            perception: 0.0,
            interleaved: 0.0,
            draw: 0.0,
            grounding: 0.0,
            grounding_in_maps: 0.0,
            draw_within: false,
        }
    }
}

impl SceneTasks {
    /// Sample number `n`; `rng` draws the task and the questions.
    pub fn sample(&self, prompts: &Prompts, n: u64, rng: &mut StdRng) -> Sample {
        let scene = Scene::generate(&self.scenes, Split::Train, self.first + n);
        let task = self.tasks().draw(rng);
        let (mut questions, mut places) = (Vec::new(), Vec::new());
        if task.asks() {
            questions = balanced(scene.questions(rng), self.questions);
        } else if task.grounds() {
            places = scene.grounding(self.questions, rng);
        }
        let [near, far] = self.depth_range_m;
        let maps = KnownMaps {
            relative_depth: Some(scene.relative_depth(near, far)),
            segmentation: Some(scene.segmentation_image()),
        };
        SampleBuilder::new(prompts, scene.image, maps, self.draw_within)
            .sample(task, questions, places)
    }

    /// The tasks' weights.
    pub(super) fn tasks(&self) -> TaskWeights {
        TaskWeights {
            direct: self.direct,
            text: self.text,
            perception: self.perception,
            interleaved: self.interleaved,
            draw: self.draw,
            grounding: self.grounding,
            grounding_in_maps: self.grounding_in_maps,
        }
    }
}
