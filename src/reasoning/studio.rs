//! Where maps are drawn in the course of a conversation: its three contexts, its noise, its evidence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::prompts::Prompts;
use crate::engine::Control;
use crate::engine::Engine;
use crate::engine::Evidence;
use crate::engine::FlowParams;
use crate::engine::GuidanceContexts;
use crate::engine::MapKind;
use crate::engine::Noise;
use crate::engine::Progress;
use crate::engine::Views;
use crate::error::Result;
use crate::perception::draw_map;
use crate::perception::stage_of;

/// The contexts of one conversation. `without_image` holds everything but the input picture, drawn maps included.
#[derive(Debug)]
pub struct Studio<'e> {
    pub(super) engine: &'e Engine,
    pub(super) prompts: &'e Prompts,
    flow: &'e FlowParams,
    noise: Noise,
    seed: u64,
    shown: VecDeque<RgbImage>,
    pub(super) contexts: GuidanceContexts,
    pub(super) evidence: Vec<Evidence>,
    pub(super) drawing_time: Duration,
}

impl<'e> Studio<'e> {
    /// Empty contexts; `seed` is noted in the evidence.
    pub fn new(
        engine: &'e Engine,
        prompts: &'e Prompts,
        flow: &'e FlowParams,
        noise: Noise,
        seed: u64,
    ) -> Self {
        Self {
            engine,
            prompts,
            flow,
            noise,
            seed,
            shown: VecDeque::new(),
            contexts: GuidanceContexts::default(),
            evidence: Vec::new(),
            drawing_time: Duration::ZERO,
        }
    }

    /// Show the model these pictures, in order, in place of the maps that it draws.
    ///
    /// For comparing with a reference step by step: a value that is cut off to the next 8-bit step
    /// would otherwise change everything that follows.
    pub fn showing(mut self, pictures: impl IntoIterator<Item = RgbImage>) -> Self {
        self.shown.extend(pictures);
        self
    }

    /// Read what comes before the first turn: system prompt, picture, question.
    pub(super) fn read(
        &mut self,
        system: Option<&String>,
        picture: &RgbImage,
        views: Views,
        question: &str,
        control: &Control,
    ) -> Result<()> {
        if let Some(system) = system {
            self.everywhere(|engine, context| engine.add_text(context, system))?;
        }
        for view in views.blocks() {
            control.check()?;
            let full = &mut self.contexts.full;
            self.engine
                .add_picture(full, picture, *view, &mut self.noise)?;
        }
        control.check()?;
        self.everywhere(|engine, context| engine.add_user_text(context, question))
    }

    /// Read a turn that calls a tool; the branch without text gets it without the call.
    pub(super) fn remember_turn(&mut self, text: &str, tag: &str) -> Result<()> {
        let mut without_text = self.contexts.full.clone();
        self.engine
            .add_text(&mut without_text, &text.replace(tag, ""))?;
        self.contexts.without_text = without_text;
        self.everywhere(|engine, context| engine.add_text(context, text))
    }

    /// Read the instruction that asks for a map; the branch without text does not get it.
    pub(super) fn remember_instruction(&mut self, kind: MapKind) -> Result<()> {
        self.contexts.without_text = self.contexts.full.clone();
        let instruction = self.prompts.instruction(kind);
        self.everywhere(|engine, context| engine.add_text(context, instruction))
    }

    /// Read what follows a map.
    pub(super) fn remember_reflection(&mut self) -> Result<()> {
        let reflection = &self.prompts.reflection;
        self.everywhere(|engine, context| engine.add_text(context, reflection))
    }

    /// Read the opening of the answer that the model is to write.
    pub(super) fn remember_opening(&mut self, opening: &str) -> Result<()> {
        self.engine.add_text(&mut self.contexts.full, opening)
    }

    /// Draw a map of `size` (width, height) in the present contexts, and look at it.
    pub(super) fn draw(
        &mut self,
        kind: MapKind,
        size: (u32, u32),
        turn: usize,
        control: &mut Control,
    ) -> Result<()> {
        let started = Instant::now();
        control.tell(Progress::Stage(stage_of(kind), turn));
        let (engine, contexts, noise) = (self.engine, &self.contexts, &mut self.noise);
        let drawn = draw_map(engine, kind, contexts, size, self.flow, noise, control);
        self.drawing_time += started.elapsed();
        let map = drawn?;
        let evidence = Evidence {
            kind,
            turn,
            image: Arc::new(map.picture),
            seed: self.seed,
            steps: self.flow.n_steps(),
        };
        control.tell(Progress::Map(evidence.clone()));
        let shown = self.shown.pop_front();
        let picture = shown.as_ref().unwrap_or(&evidence.image);
        for context in [&mut self.contexts.full, &mut self.contexts.without_image] {
            engine.add_picture(context, picture, Views::Vit, &mut self.noise)?;
        }
        self.evidence.push(evidence);
        control.check()
    }

    /// Do the same to the full context and to the one without the picture.
    fn everywhere(
        &mut self,
        read: impl Fn(&Engine, &mut crate::engine::KvContext) -> Result<()>,
    ) -> Result<()> {
        read(self.engine, &mut self.contexts.full)?;
        read(self.engine, &mut self.contexts.without_image)
    }
}
