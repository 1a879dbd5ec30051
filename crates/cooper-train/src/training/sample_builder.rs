//! Samples of an image, its maps and what is asked about it: every mode of answering, and drawing.

use std::sync::Arc;

use cooper_imaging::spectral;
use cooper_model::engine::{MapKind, Views};
use cooper_model::reasoning::Prompts;
use cooper_scenes::{Grounding, Question, Tool};
use image::RgbImage;

use super::sample::{Part, Sample, Target};
use super::task::Task;

/// Makes samples of an image and its maps.
pub(super) struct SampleBuilder<'a> {
    prompts: &'a Prompts,
    /// Also train to draw the maps that appear in conversations.
    draw_within: bool,
    image: Arc<RgbImage>,
    depth: Option<Depth>,
    segmentation: Option<Arc<RgbImage>>,
}

/// The maps of an image, as far as they are known.
pub(super) struct KnownMaps {
    /// On a line from near 0 to far 1, row-major.
    pub(super) relative_depth: Option<Vec<f32>>,
    /// In the colours that are drawn.
    pub(super) segmentation: Option<RgbImage>,
}

/// A depth map.
struct Depth {
    /// On a line from near 0 to far 1.
    relative: Arc<Vec<f32>>,
    image: Arc<RgbImage>,
}

impl<'a> SampleBuilder<'a> {
    /// Samples of an image and its maps.
    pub(super) fn new(
        prompts: &'a Prompts,
        image: RgbImage,
        maps: KnownMaps,
        draw_within: bool,
    ) -> Self {
        let (width, height) = image.dimensions();
        let depth = maps.relative_depth.map(|relative| Depth {
            image: Arc::new(spectral(&relative, width, height)),
            relative: Arc::new(relative),
        });
        Self {
            prompts,
            draw_within,
            image: Arc::new(image),
            depth,
            segmentation: maps.segmentation.map(Arc::new),
        }
    }

    /// The sample of a task; without questions, and without a map that the task looks at, it is to draw.
    pub(super) fn sample(
        &self,
        task: Task,
        questions: Vec<Question>,
        places: Vec<Grounding>,
    ) -> Sample {
        let sample = match task {
            Task::Direct => self.direct(questions),
            Task::Text => self.text(questions),
            Task::Perception => self.perception(questions),
            Task::Interleaved => self.interleaved(questions),
            Task::Grounding => self.grounding(places),
            Task::GroundingInMaps => self.grounding_in_maps(places),
            Task::Draw => self.draw(),
        };
        match sample.branches.is_empty() {
            true => self.draw(),
            false => sample,
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
    fn grounding(&self, places: Vec<Grounding>) -> Sample {
        Sample {
            trunk: vec![Part::read(&self.image, Views::Vit)],
            branches: grounded(places),
        }
    }

    /// As in the perception mode, but all questions share the maps, which come before them.
    fn grounding_in_maps(&self, places: Vec<Grounding>) -> Sample {
        let mut trunk = self.read_after(&self.prompts.perception_system);
        for kind in [MapKind::Depth, MapKind::Segmentation] {
            trunk.push(Part::prompt(self.prompts.instruction(kind)));
            self.add_map(kind, &mut trunk);
        }
        Sample {
            trunk,
            branches: grounded(places),
        }
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
            Some(vec![instruction, Part::Draw(self.target(kind)?)])
        };
        Sample {
            trunk: vec![Part::read(&self.image, Views::VaeAndVit)],
            branches: [MapKind::Depth, MapKind::Segmentation]
                .into_iter()
                .filter_map(branch)
                .collect(),
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
        if self.draw_within {
            parts.extend(self.target(kind).map(Part::Draw));
        }
        let image = match kind {
            MapKind::Depth => self.depth.as_ref().map(|depth| &depth.image),
            MapKind::Segmentation => self.segmentation.as_ref(),
        };
        parts.extend(image.map(|image| Part::read(image, Views::Vit)));
    }

    fn target(&self, kind: MapKind) -> Option<Target> {
        match kind {
            MapKind::Depth => self.depth.as_ref().map(|depth| Target::Depth {
                values: depth.relative.clone(),
                width: self.image.width(),
                height: self.image.height(),
            }),
            MapKind::Segmentation => self.segmentation.clone().map(Target::Image),
        }
    }
}

fn grounded(places: Vec<Grounding>) -> Vec<Vec<Part>> {
    let exchange = |g: Grounding| {
        let answer = format!("\\boxed{{{}}}", g.answer);
        vec![Part::user(&g.question), Part::model(&answer)]
    };
    places.into_iter().map(exchange).collect()
}
