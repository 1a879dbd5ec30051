//! Where maps are drawn in the course of a conversation: its three contexts, its noise, its evidence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::budget::Ahead;
use super::prompts::Prompts;
use super::transcript::Mode;
use crate::engine::{
    Control, Engine, Evidence, FlowParams, GuidanceContexts, KvContext, MapKind, Noise, Pictures,
    Progress, Speech, Stage, Views,
};
use crate::error::{Error, Result};
use crate::perception::{draw_map, stage_of};

/// What a conversation was opened with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) mode: Mode,
    /// Width and height of maps: those of the last picture, as upstream.
    pub(super) size: (u32, u32),
    /// The number of that picture, counted from 0.
    picture: usize,
}

/// The contexts of one conversation. `without_image` holds everything but the input picture, drawn maps included.
/// Where drawing is not guided, only the full context is kept.
#[derive(Debug)]
pub struct Studio<'e> {
    pub(super) engine: &'e Engine,
    pub(super) prompts: &'e Prompts,
    flow: &'e FlowParams,
    noise: Noise,
    seed: u64,
    shown: VecDeque<RgbImage>,
    opened: Option<Opened>,
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
            opened: None,
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
            contexts: self.contexts.clone(),
            evidence: self.evidence.clone(),
            drawing_time: Duration::ZERO,
        }
    }

    /// Read what comes before the first turn: system prompt, pictures, question.
    ///
    /// # Errors
    /// [`Error::Canceled`] after a stop; [`Error::ContextFull`] if the pictures and the question are too long.
    pub fn open<'p>(
        &mut self,
        mode: Mode,
        pictures: impl Into<Pictures<'p>>,
        question: &str,
        control: &mut Control,
    ) -> Result<()> {
        let pictures = pictures.into();
        let (number, last) = pictures.last();
        self.opened = Some(Opened {
            mode,
            size: self
                .engine
                .vae_rule()
                .output_size(last.width(), last.height()),
            picture: number,
        });
        control.tell(Progress::Stage(Stage::Prefill, 0));
        control.check()?;
        let (system, views) = self.prompts.opening(mode);
        let (engine, noise) = (self.engine, &mut self.noise);
        self.contexts.full = engine.read_frame(system, pictures, views, noise, control)?;
        if self.flow.is_guided() {
            self.contexts.without_image = engine.read_opening(system)?;
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
    pub(super) fn remember_turn(&mut self, speech: &Speech, tag: &str) -> Result<()> {
        let (engine, contexts) = (self.engine, &mut self.contexts);
        if self.flow.is_guided() {
            contexts.without_text = contexts.full.clone();
            let without_call = speech.text.replace(tag, "");
            engine.add_turn(&mut contexts.without_text, &without_call, speech)?;
            // It was not written behind this one.
            engine.add_text(&mut contexts.without_image, &speech.text)?;
        }
        engine.add_turn(&mut contexts.full, &speech.text, speech)
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

    /// Draw a map in the present contexts, and look at it. Where the request has a deadline, the map has no more steps
    /// than leave time for what is `ahead`.
    pub(super) fn draw(
        &mut self,
        kind: MapKind,
        turn: usize,
        ahead: Ahead,
        control: &mut Control,
    ) -> Result<()> {
        let Opened { size, picture, .. } = self.opened()?;
        let started = Instant::now();
        control.tell(Progress::Stage(stage_of(kind), turn));
        let flow = self.flow_within(size, ahead, control);
        let (engine, contexts, noise) = (self.engine, &self.contexts, &mut self.noise);
        let drawn = draw_map(engine, kind, contexts, size, &flow, noise, control);
        let took = started.elapsed();
        self.drawing_time += took;
        let map = drawn?;
        let evidence = Evidence {
            kind,
            turn,
            image: Arc::new(map.picture),
            depth: map.depth.map(Arc::new),
            seed: self.seed,
            steps: flow.n_steps(),
            steps_computed: map.n_computed,
            picture,
            took,
        };
        control.tell(Progress::Map(evidence.clone()));
        let shown = self.shown.pop_front();
        let picture = shown.as_ref().unwrap_or(&evidence.image);
        for context in guided_or_full(&mut self.contexts, self.flow) {
            engine.add_picture(context, picture, Views::Vit, &mut self.noise)?;
        }
        self.evidence.push(evidence);
        control.check()
    }

    /// How the next map is drawn in the time that is left.
    fn flow_within(&self, size: (u32, u32), ahead: Ahead, control: &Control) -> FlowParams {
        let Some(left) = control.cancel().time_left() else {
            return self.flow.clone();
        };
        let n_contexts = 1 + usize::from(self.flow.is_guided());
        let share = ahead.share(left, &self.engine.speed(), n_contexts);
        self.engine.fitted(self.flow, size, share)
    }

    /// Do the same to the full context and to the one without the picture.
    fn everywhere(&mut self, read: impl Fn(&Engine, &mut KvContext) -> Result<()>) -> Result<()> {
        for context in guided_or_full(&mut self.contexts, self.flow) {
            read(self.engine, context)?;
        }
        Ok(())
    }
}

/// The full context, and the one without the picture where drawing looks at it.
fn guided_or_full<'c>(
    contexts: &'c mut GuidanceContexts,
    flow: &FlowParams,
) -> impl Iterator<Item = &'c mut KvContext> {
    let guided = flow.is_guided().then_some(&mut contexts.without_image);
    std::iter::once(&mut contexts.full).chain(guided)
}
