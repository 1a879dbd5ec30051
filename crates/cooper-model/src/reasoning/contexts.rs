//! Where maps are drawn in the course of a conversation: its three contexts, its noise, its evidence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::budget::BudgetPlan;
use super::prompts::Prompts;
use super::transcript::Mode;
use crate::engine::{
    Control, Engine, Evidence, FlowParams, Generation, GuidanceContexts, Images, KvContext,
    MapKind, Noise, Progress, Stage, Views,
};
use crate::error::{Error, Result};
use crate::perception::{draw_map, stage_of};

/// What a conversation was opened with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) mode: Mode,
    /// Width and height of maps: those of the last image, as upstream.
    pub(super) size: (u32, u32),
    /// The number of that image, counted from 0.
    image: usize,
}

/// The contexts of one conversation. `without_image` holds everything but the input image, drawn maps included.
/// Where drawing is not guided, only the full context is kept.
#[derive(Debug)]
pub struct GenerationContexts<'e> {
    pub(super) engine: &'e Engine,
    pub(super) prompts: &'e Prompts,
    flow: &'e FlowParams,
    noise: Noise,
    seed: u64,
    shown: VecDeque<RgbImage>,
    opened: Option<Opened>,
    pub(super) guided: GuidanceContexts,
    pub(super) evidence: Vec<Evidence>,
    pub(super) drawing_time: Duration,
}

impl<'e> GenerationContexts<'e> {
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
            opened: None,
            guided: GuidanceContexts::default(),
            evidence: Vec::new(),
            drawing_time: Duration::ZERO,
        }
    }

    /// Show the model these images, in order, in place of the maps that it draws.
    ///
    /// For comparing with a reference step by step: a value that is cut off to the next 8-bit step
    /// would otherwise change everything that follows.
    pub fn showing(mut self, images: impl IntoIterator<Item = RgbImage>) -> Self {
        self.shown.extend(images);
        self
    }

    /// The same conversation from here on, with other noise. It copies no context.
    pub fn fork(&self, noise: Noise, seed: u64) -> Self {
        Self {
            engine: self.engine,
            prompts: self.prompts,
            flow: self.flow,
            noise,
            seed,
            shown: self.shown.clone(),
            opened: self.opened,
            guided: self.guided.clone(),
            evidence: self.evidence.clone(),
            drawing_time: Duration::ZERO,
        }
    }

    /// Read what comes before the first turn: system prompt, images, question.
    ///
    /// # Errors
    /// [`Error::Canceled`] after a stop; [`Error::ContextFull`] if the images and the question are too long.
    pub fn open<'p>(
        &mut self,
        mode: Mode,
        images: impl Into<Images<'p>>,
        question: &str,
        control: &mut Control,
    ) -> Result<()> {
        let images = images.into();
        let (number, last) = images.last();
        self.opened = Some(Opened {
            mode,
            size: self
                .engine
                .vae_rule()
                .output_size(last.width(), last.height()),
            image: number,
        });
        control.tell(Progress::Stage(Stage::Prefill, 0));
        control.check()?;
        let (system, views) = self.prompts.opening(mode);
        let (engine, noise) = (self.engine, &mut self.noise);
        self.guided.full = engine.read_frame(system, images, views, noise, control)?;
        if self.flow.is_guided() {
            self.guided.without_image = engine.read_opening(system)?;
        }
        control.check()?;
        self.everywhere(|engine, context| engine.add_user_text(context, question))?;
        control.check()
    }

    /// What it was opened with.
    pub(super) fn opened(&self) -> Result<Opened> {
        let closed = || Error::Internal("a studio was not opened".into());
        self.opened.ok_or_else(closed)
    }

    /// Read a turn that calls a tool; the branch without text gets it without the call.
    pub(super) fn remember_turn(&mut self, generation: &Generation, tag: &str) -> Result<()> {
        let (engine, contexts) = (self.engine, &mut self.guided);
        if self.flow.is_guided() {
            contexts.without_text = contexts.full.clone();
            let without_call = generation.text.replace(tag, "");
            engine.add_turn(&mut contexts.without_text, &without_call, generation)?;
            // It was not written behind this one.
            engine.prefill_text(&mut contexts.without_image, &generation.text)?;
        }
        engine.add_turn(&mut contexts.full, &generation.text, generation)
    }

    /// Read the instruction that asks for a map; the branch without text does not get it.
    pub(super) fn remember_instruction(&mut self, kind: MapKind) -> Result<()> {
        self.guided.without_text = self.guided.full.clone();
        let instruction = self.prompts.instruction(kind);
        self.everywhere(|engine, context| engine.prefill_text(context, instruction))
    }

    /// Read what follows a map.
    pub(super) fn remember_reflection(&mut self) -> Result<()> {
        let reflection = &self.prompts.reflection;
        self.everywhere(|engine, context| engine.prefill_text(context, reflection))
    }

    /// Read the opening of the answer that the model is to write.
    pub(super) fn remember_opening(&mut self, opening: &str) -> Result<()> {
        self.engine.prefill_text(&mut self.guided.full, opening)
    }

    /// Draw a map in the present contexts, and look at it. Where the request has a deadline, the map has no more steps
    /// than leave time for what is `ahead`.
    pub(super) fn draw(
        &mut self,
        kind: MapKind,
        turn: usize,
        ahead: BudgetPlan,
        control: &mut Control,
    ) -> Result<()> {
        let Opened { size, image, .. } = self.opened()?;
        let started = Instant::now();
        control.tell(Progress::Stage(stage_of(kind), turn));
        let flow = self.flow_within(size, ahead, control);
        let (engine, contexts, noise) = (self.engine, &self.guided, &mut self.noise);
        let drawn = draw_map(engine, kind, contexts, size, &flow, noise, control);
        let took = started.elapsed();
        self.drawing_time += took;
        let map = drawn?;
        let evidence = Evidence {
            kind,
            turn,
            image: Arc::new(map.image),
            depth: map.depth.map(Arc::new),
            seed: self.seed,
            steps: flow.n_steps(),
            steps_computed: map.n_computed,
            image_idx: image,
            took,
        };
        control.tell(Progress::Map(evidence.clone()));
        let shown = self.shown.pop_front();
        let image = shown.as_ref().unwrap_or(&evidence.image);
        for context in guided_or_full(&mut self.guided, self.flow) {
            engine.prefill_image(context, image, Views::Vit, &mut self.noise)?;
        }
        self.evidence.push(evidence);
        control.check()
    }

    /// How the next map is drawn in the time that is left.
    fn flow_within(&self, size: (u32, u32), ahead: BudgetPlan, control: &Control) -> FlowParams {
        let Some(left) = control.cancel().time_left() else {
            return self.flow.clone();
        };
        let n_contexts = 1 + usize::from(self.flow.is_guided());
        let share = ahead.share(left, &self.engine.speed(), n_contexts);
        self.engine.fitted(self.flow, size, share)
    }

    /// Do the same to the full context and to the one without the image.
    fn everywhere(&mut self, read: impl Fn(&Engine, &mut KvContext) -> Result<()>) -> Result<()> {
        for context in guided_or_full(&mut self.guided, self.flow) {
            read(self.engine, context)?;
        }
        Ok(())
    }
}

/// The full context, and the one without the image where drawing looks at it.
fn guided_or_full<'c>(
    contexts: &'c mut GuidanceContexts,
    flow: &FlowParams,
) -> impl Iterator<Item = &'c mut KvContext> {
    let guided = flow.is_guided().then_some(&mut contexts.without_image);
    std::iter::once(&mut contexts.full).chain(guided)
}
