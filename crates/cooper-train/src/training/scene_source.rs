//! Samples from generated scenes: every mode of answering, and drawing.

use std::sync::Arc;

use cooper_imaging::spectral;
use cooper_model::engine::{MapKind, Views};
use cooper_model::reasoning::Prompts;
use cooper_scenes::{Grounding, Question, Scene, SceneConfig, Split, Tool};
use image::RgbImage;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::{Part, Sample, Target};

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
    /// The sum of the tasks' weights.
    pub fn weight(&self) -> f64 {
        self.weights().iter().map(|(_, weight, _)| weight).sum()
    }

    /// Sample number `n`; `rng` draws the task and the questions.
    pub fn sample(&self, prompts: &Prompts, n: u64, rng: &mut StdRng) -> Sample {
        let scene = Scene::generate(&self.scenes, Split::Train, self.first + n);
        let builder = SampleBuilder::new(scene, self, prompts);
        let task = self.task(rng);
        let questions = |rng| balanced(builder.scene.questions(rng), self.questions);
        match task {
            Task::Direct => builder.direct(questions(rng)),
            Task::Text => builder.text(questions(rng)),
            Task::Perception => builder.perception(questions(rng)),
            Task::Interleaved => builder.interleaved(questions(rng)),
            Task::Draw => builder.draw(),
            Task::Grounding => builder.grounding(rng),
            Task::GroundingInMaps => builder.grounding_in_maps(rng),
        }
    }

    /// The tasks' names and weights.
    pub(super) fn weights(&self) -> [(&'static str, f64, Task); 7] {
        [
            ("direct", self.direct, Task::Direct),
            ("text", self.text, Task::Text),
            ("perception", self.perception, Task::Perception),
            ("interleaved", self.interleaved, Task::Interleaved),
            ("grounding", self.grounding, Task::Grounding),
            (
                "grounding_in_maps",
                self.grounding_in_maps,
                Task::GroundingInMaps,
            ),
            ("draw", self.draw, Task::Draw),
        ]
    }

    fn task(&self, rng: &mut StdRng) -> Task {
        let weights = self.weights();
        let drawn = weights.choose_weighted(rng, |(_, weight, _)| *weight);
        // Fails only without any weight, which `Mixture::open` refuses.
        drawn.map_or(Task::Draw, |(_, _, task)| *task)
    }
}

/// The first `n` questions, one of each kind in turn: scenes have many pairs and few sizes.
fn balanced(questions: Vec<Question>, n: usize) -> Vec<Question> {
    let mut ranked: Vec<(usize, Question)> = Vec::with_capacity(questions.len());
    for question in questions {
        let rank = ranked
            .iter()
            .filter(|(_, q)| q.kind == question.kind)
            .count();
        ranked.push((rank, question));
    }
    // Stable: within a turn the kinds stay in their random order.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked
        .into_iter()
        .take(n)
        .map(|(_, question)| question)
        .collect()
}

/// What a sample teaches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    Direct,
    Text,
    Perception,
    Interleaved,
    Draw,
    Grounding,
    GroundingInMaps,
}

/// Makes samples of a scene and its maps.
struct SampleBuilder<'a> {
    scene: Scene,
    tasks: &'a SceneTasks,
    prompts: &'a Prompts,
    image: Arc<RgbImage>,
    depth: Arc<Vec<f32>>,
    depth_image: Arc<RgbImage>,
    segmentation: Arc<RgbImage>,
}

impl<'a> SampleBuilder<'a> {
    fn new(scene: Scene, tasks: &'a SceneTasks, prompts: &'a Prompts) -> Self {
        let [near, far] = tasks.depth_range_m;
        let depth = scene.relative_depth(near, far);
        let (width, height) = scene.image.dimensions();
        Self {
            tasks,
            prompts,
            image: Arc::new(scene.image.clone()),
            depth_image: Arc::new(spectral(&depth, width, height)),
            depth: Arc::new(depth),
            segmentation: Arc::new(scene.segmentation_image()),
            scene,
        }
    }

    /// As in [`cooper_model::reasoning`]'s direct mode.
    fn direct(&self, questions: Vec<Question>) -> Sample {
        let answer = |q: Question| vec![Part::user(&q.text), Part::model(&q.direct())];
        Sample {
            trunk: vec![Part::read(&self.image, Views::Vit)],
            branches: questions.into_iter().map(answer).collect(),
        }
    }

    /// Questions about places, as in the direct mode.
    fn grounding(&self, rng: &mut StdRng) -> Sample {
        Sample {
            trunk: vec![Part::read(&self.image, Views::Vit)],
            branches: self.grounded(rng),
        }
    }

    /// As in the perception mode, but all questions share the maps, which come before them.
    fn grounding_in_maps(&self, rng: &mut StdRng) -> Sample {
        let mut trunk = self.read_after(&self.prompts.perception_system);
        for kind in [MapKind::Depth, MapKind::Segmentation] {
            trunk.push(Part::prompt(self.prompts.instruction(kind)));
            self.add_map(kind, &mut trunk);
        }
        Sample {
            trunk,
            branches: self.grounded(rng),
        }
    }

    fn grounded(&self, rng: &mut StdRng) -> Vec<Vec<Part>> {
        let questions = self.scene.grounding(self.tasks.questions, rng);
        let exchange = |g: Grounding| {
            let answer = format!("\\boxed{{{}}}", g.answer);
            vec![Part::user(&g.question), Part::model(&answer)]
        };
        questions.into_iter().map(exchange).collect()
    }

    /// As in [`cooper_model::reasoning`]'s text mode.
    fn text(&self, questions: Vec<Question>) -> Sample {
        let answer = |q: Question| vec![Part::user(&q.text), Part::model(&q.text_reasoning())];
        Sample {
            trunk: vec![
                Part::prompt(&self.prompts.think_system),
                Part::read(&self.image, Views::Vit),
            ],
            branches: questions.into_iter().map(answer).collect(),
        }
    }

    /// As in [`cooper_model::reasoning`]'s perception mode.
    fn perception(&self, questions: Vec<Question>) -> Sample {
        let branch = |q: Question| {
            let mut parts = vec![Part::user(&q.text)];
            for kind in [MapKind::Depth, MapKind::Segmentation] {
                parts.push(Part::prompt(self.prompts.instruction(kind)));
                self.add_map(kind, &mut parts);
            }
            parts.push(Part::prompt("<answer>"));
            parts.push(Part::model(&format!("{}</answer>", q.answer_text())));
            parts
        };
        Sample {
            trunk: self.read_after(&self.prompts.perception_system),
            branches: questions.into_iter().map(branch).collect(),
        }
    }

    /// As in [`cooper_model::reasoning`]'s interleaved mode.
    fn interleaved(&self, questions: Vec<Question>) -> Sample {
        let branch = |q: Question| {
            let kind = q.tool().map(|tool| match tool {
                Tool::Depth => MapKind::Depth,
                Tool::Segmentation => MapKind::Segmentation,
            });
            let instruction = kind.map_or("", |kind| self.prompts.instruction(kind));
            let turns = q.interleaved(instruction);
            let mut parts = vec![Part::user(&q.text)];
            for (i, turn) in turns.iter().enumerate() {
                parts.push(Part::model(turn));
                if let (Some(kind), true) = (kind, i + 1 < turns.len()) {
                    self.add_map(kind, &mut parts);
                    parts.push(Part::prompt(&self.prompts.reflection));
                }
            }
            parts
        };
        Sample {
            trunk: self.read_after(&self.prompts.interleave_system),
            branches: questions.into_iter().map(branch).collect(),
        }
    }

    /// As in the public training set's first stage: the tool's instruction, then the map.
    fn draw(&self) -> Sample {
        let branch = |kind| {
            let instruction = Part::prompt(self.prompts.instruction(kind));
            vec![instruction, Part::Draw(self.target(kind))]
        };
        Sample {
            trunk: vec![Part::read(&self.image, Views::VaeAndVit)],
            branches: [MapKind::Depth, MapKind::Segmentation].map(branch).into(),
        }
    }

    fn read_after(&self, system: &str) -> Vec<Part> {
        vec![
            Part::prompt(system),
            Part::read(&self.image, Views::VaeAndVit),
        ]
    }

    /// The true map where the model's own will be.
    fn add_map(&self, kind: MapKind, parts: &mut Vec<Part>) {
        if self.tasks.draw_within {
            parts.push(Part::Draw(self.target(kind)));
        }
        let image = match kind {
            MapKind::Depth => &self.depth_image,
            MapKind::Segmentation => &self.segmentation,
        };
        parts.push(Part::read(image, Views::Vit));
    }

    fn target(&self, kind: MapKind) -> Target {
        match kind {
            MapKind::Depth => Target::Depth {
                values: self.depth.clone(),
                width: self.image.width(),
                height: self.image.height(),
            },
            MapKind::Segmentation => Target::Image(self.segmentation.clone()),
        }
    }
}
