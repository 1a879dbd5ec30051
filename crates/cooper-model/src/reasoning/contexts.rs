//! The three contexts of a conversation, in which text is generated and maps are drawn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::budget::BudgetPlan;
use super::settings::{PromptedEngine, Settings};
use crate::engine::{
    Control, Engine, Evidence, FlowParams, Generation, GuidanceContexts, Images, KvContext,
    MapKind, Noise, Progress, Stage, Views,
};
use crate::error::{Error, Result};
use crate::perception::{MapPixels, MapSpec, draw_map, stage_of};

/// The image whose size maps have: the last one, as upstream.
#[derive(Clone, Copy, Debug)]
struct MappedImage {
    /// Width and height of maps.
    size: (u32, u32),
    /// Its number, from 0.
    idx: usize,
}

/// The contexts of one conversation. `without_image` holds everything but the input image, drawn maps included.
/// Where drawing is not guided, only the full context is kept.
#[derive(Debug)]
pub struct GenerationContexts<'e> {
    pub(super) model: PromptedEngine<'e>,
    pub(super) settings: &'e Settings,
    noise: Noise,
    /// Noted in the evidence.
    seed: u64,
    /// Shown to the model in place of the maps that it draws.
    shown: VecDeque<RgbImage>,
    /// None before [`Self::open`].
    mapped: Option<MappedImage>,
    pub(super) guided: GuidanceContexts,
    pub(super) evidence: Vec<Evidence>,
    pub(super) drawing_time: Duration,
}

impl<'e> GenerationContexts<'e> {
    /// Empty contexts. `noise` is that of `settings.seed`, or given values where a reference is compared with.
    pub fn new(model: PromptedEngine<'e>, settings: &'e Settings, noise: Noise) -> Self {
        Self {
            model,
            settings,
            noise,
            seed: settings.seed,
            shown: VecDeque::new(),
            mapped: None,
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
            model: self.model,
            settings: self.settings,
            noise,
            seed,
            shown: self.shown.clone(),
            mapped: self.mapped,
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
        images: impl Into<Images<'p>>,
        question: &str,
        control: &mut Control,
    ) -> Result<()> {
        let images = images.into();
        let PromptedEngine { engine, prompts } = self.model;
        let (idx, last) = images.last();
        let size = engine.vae_rule().output_size(last.width(), last.height());
        self.mapped = Some(MappedImage { size, idx });
        control.report(Progress::Stage(Stage::Prefill, 0));
        control.check()?;
        let (system, views) = prompts.opening(self.settings.mode);
        self.guided.full = engine.read_frame(system, images, views, &mut self.noise, control)?;
        if self.settings.flow.is_guided() {
            self.guided.without_image = engine.read_opening(system)?;
        }
        control.check()?;
        self.prefill_both(|engine, context| engine.add_user_text(context, question))?;
        control.check()
    }

    /// # Errors
    /// [`Error::Internal`] before [`Self::open`].
    pub(super) fn check_open(&self) -> Result<()> {
        self.mapped().map(|_| ())
    }

    fn mapped(&self) -> Result<MappedImage> {
        let closed = || Error::Internal("the contexts have read no question".into());
        self.mapped.ok_or_else(closed)
    }

    /// Read a turn that calls a tool; the branch without text gets it without the call.
    pub(super) fn prefill_turn(&mut self, generation: &Generation, tag: &str) -> Result<()> {
        let (engine, contexts) = (self.model.engine, &mut self.guided);
        if self.settings.flow.is_guided() {
            contexts.without_text = contexts.full.clone();
            let without_call = generation.text.replace(tag, "");
            engine.prefill_turn(&mut contexts.without_text, &without_call, generation)?;
            // The turn was not generated in this context.
            engine.prefill_text(&mut contexts.without_image, &generation.text)?;
        }
        engine.prefill_turn(&mut contexts.full, &generation.text, generation)
    }

    /// Read the instruction that asks for a map; the branch without text does not get it.
    pub(super) fn prefill_instruction(&mut self, kind: MapKind) -> Result<()> {
        self.guided.without_text = self.guided.full.clone();
        let instruction = self.model.prompts.instruction(kind);
        self.prefill_both(|engine, context| engine.prefill_text(context, instruction))
    }

    /// Read what follows a map.
    pub(super) fn prefill_reflection(&mut self) -> Result<()> {
        let reflection = &self.model.prompts.reflection;
        self.prefill_both(|engine, context| engine.prefill_text(context, reflection))
    }

    /// Read the opening of the answer that the model is to write.
    pub(super) fn prefill_answer_opening(&mut self, opening: &str) -> Result<()> {
        let engine = self.model.engine;
        engine.prefill_text(&mut self.guided.full, opening)
    }

    /// Draw a map in the present contexts, and look at it. Where the request has a deadline, the map has no more steps
    /// than leave time for the rest of `plan`.
    pub(super) fn draw(
        &mut self,
        kind: MapKind,
        turn: usize,
        plan: BudgetPlan,
        control: &mut Control,
    ) -> Result<()> {
        let MappedImage { size, idx } = self.mapped()?;
        let started = Instant::now();
        control.report(Progress::Stage(stage_of(kind), turn));
        let flow = &self.flow_within(size, plan, control);
        let (engine, noise) = (self.model.engine, &mut self.noise);
        let spec = MapSpec { kind, size, flow };
        let drawn = draw_map(engine, spec, &self.guided, noise, control);
        let took = started.elapsed();
        self.drawing_time += took;
        let map = drawn?;
        let evidence = Evidence {
            kind,
            turn,
            image: Arc::new(map.image()),
            depth: match map.pixels {
                MapPixels::Depth(values) => Some(Arc::new(values)),
                MapPixels::Segmentation(_) => None,
            },
            seed: self.seed,
            steps: flow.n_steps(),
            steps_computed: map.n_computed,
            image_idx: idx,
            took,
        };
        control.report(Progress::Map(evidence.clone()));
        let shown = self.shown.pop_front();
        let image = shown.as_ref().unwrap_or(&evidence.image);
        for context in guided_or_full(&mut self.guided, &self.settings.flow) {
            engine.prefill_image(context, image, Views::Vit, &mut self.noise)?;
        }
        self.evidence.push(evidence);
        control.check()
    }

    /// How the next map is drawn in the time that is left.
    fn flow_within(&self, size: (u32, u32), plan: BudgetPlan, control: &Control) -> FlowParams {
        let (engine, flow) = (self.model.engine, &self.settings.flow);
        let Some(left) = control.cancel().time_left() else {
            return flow.clone();
        };
        let n_contexts = 1 + usize::from(flow.is_guided());
        let share = plan.share(left, &engine.speed(), n_contexts);
        engine.fitted(flow, size, share)
    }

    /// Read the same into the full context and into the one without the image.
    fn prefill_both(&mut self, read: impl Fn(&Engine, &mut KvContext) -> Result<()>) -> Result<()> {
        for context in guided_or_full(&mut self.guided, &self.settings.flow) {
            read(self.model.engine, context)?;
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
