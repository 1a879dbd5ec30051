//! The measured work, on one image and one question.

use std::fmt;

use candle_core::Tensor;
use clap::ValueEnum;
use cooper_model::Result;
use cooper_model::engine::{
    Cancel, Control, Engine, FlowParams, GuidanceContexts, KvContext, MapKind, Noise, Views,
};
use cooper_model::model::Grid;
use cooper_model::perception::{MapRequest, draw_map_of};
use cooper_model::reasoning::Prompts;
use image::RgbImage;
use serde::{Serialize, Serializer};

use super::clock::{Clock, Timing};
use super::cost;
use super::cost::{Attends, Cost, Network, Stored};

const QUESTION: &str = "How far is the red box from the blue ball? ";
const SEED: u64 = 0;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Item {
    /// Reading an image: autoencoder and vision encoder, each a block of the context
    ImagePrefill,
    /// Reading a question behind it
    TextPrefill,
    /// Writing, per token
    Decode,
    /// A flow step without guidance
    #[value(name = "flow_step_1")]
    FlowStep1,
    /// A flow step with both guidance branches
    #[value(name = "flow_step_3")]
    FlowStep3,
    /// The autoencoder's encoder
    VaeEncode,
    /// The autoencoder's decoder
    VaeDecode,
    /// A depth map of a new image
    DepthMap,
    /// A question about a new image
    FirstQuestion,
    /// Another question about the same image
    SecondQuestion,
}

impl Item {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The engine, and what all items need.
pub(super) struct Workload<'e> {
    engine: &'e Engine,
    network: Network,
    /// Of the autoencoder's size.
    image: RgbImage,
    question: String,
    instruction: String,
    n_tokens: usize,
    flow: FlowParams,
    contexts: GuidanceContexts,
    drawing: DrawingSteps,
}

/// Flow steps of the depth map.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct DrawingSteps {
    pub(super) made: usize,
    /// The step cache forecasts the others.
    pub(super) computed: usize,
    /// Of the latents, against computing all steps: see [`Engine::cache_error`].
    pub(super) latents_error: f64,
}

/// How much work there is.
#[derive(Clone, Debug)]
pub(super) struct Amount {
    /// Width and height of the image that is looked at, before the model's own resizing.
    pub(super) image: (u32, u32),
    /// How often the question is repeated in itself.
    pub(super) questions: usize,
    /// Tokens that are written.
    pub(super) n_tokens: usize,
    /// How a map is drawn.
    pub(super) flow: FlowParams,
}

impl<'e> Workload<'e> {
    /// Read what the items rest on.
    pub(super) fn new(engine: &'e Engine, amount: Amount) -> Result<Self> {
        let image = engine.vae_rule().apply(&image(amount.image));
        let instruction = Prompts::built_in()?.instruction(MapKind::Depth).to_owned();
        let mut contexts = GuidanceContexts::default();
        let mut noise = Noise::seeded(SEED);
        let without_text = &mut contexts.without_text;
        engine.prefill_image(without_text, &image, Views::VaeAndVit, &mut noise)?;
        contexts.full = without_text.clone();
        engine.prefill_text(&mut contexts.full, &instruction)?;
        engine.prefill_text(&mut contexts.without_image, &instruction)?;
        let flow = amount.flow;
        let made = flow.n_steps();
        let mut drawing = DrawingSteps {
            made,
            computed: made,
            latents_error: 0.0,
        };
        if flow.cache_threshold > 0.0 {
            let before = engine.work_done().flow_forecasts;
            let (size, cancel) = (image.dimensions(), Cancel::default());
            drawing.latents_error = engine.cache_error(&contexts, size, &flow, SEED, &cancel)?;
            drawing.computed = made - (engine.work_done().flow_forecasts - before) as usize;
        }
        Ok(Self {
            engine,
            network: Network::new(engine.config()),
            image,
            question: QUESTION.repeat(amount.questions),
            instruction,
            n_tokens: amount.n_tokens,
            flow,
            contexts,
            drawing,
        })
    }

    /// How the depth map is drawn.
    pub(super) fn drawing(&self) -> DrawingSteps {
        self.drawing
    }

    /// Time an item.
    pub(super) fn measure(&self, item: Item, clock: &Clock) -> Result<Timing> {
        let nothing = || Ok(());
        let forget = || {
            self.engine.forget();
            Ok(())
        };
        match item {
            Item::ImagePrefill => clock.time(forget, |()| self.read_image()),
            Item::TextPrefill => clock.time(
                || Ok(self.contexts.without_text.clone()),
                |context| self.read_question(context),
            ),
            Item::Decode => {
                let asked = self.read_question(self.contexts.without_text.clone())?;
                let all = clock.time(|| Ok(asked.clone()), |context| self.write(context))?;
                Ok(all.per(self.n_tokens))
            }
            Item::FlowStep1 => clock.time(nothing, |()| self.step(1.0)),
            Item::FlowStep3 => clock.time(nothing, |()| self.step(2.0)),
            Item::VaeEncode => {
                let device = self.engine.model().device();
                let pixels = self.engine.normalization().pixels(&self.image, device)?;
                let pixels = pixels.unsqueeze(0)?;
                clock.time(nothing, |()| Ok(self.engine.vae().moments(&pixels)?))
            }
            Item::VaeDecode => {
                let latent = self.step(1.0)?;
                let size = self.image.dimensions();
                clock.time(nothing, |()| {
                    Ok(self.engine.decode_latent(&latent, size)?)
                })
            }
            Item::DepthMap => clock.time(forget, |()| {
                let request = MapRequest {
                    instruction: &self.instruction,
                    flow: &self.flow,
                    seed: SEED,
                };
                let control = &mut Control::unattended();
                draw_map_of(self.engine, MapKind::Depth, &request, &self.image, control)
            }),
            Item::FirstQuestion => clock.time(forget, |()| self.answer()),
            Item::SecondQuestion => clock.time(|| self.read_image(), |_| self.answer()),
        }
    }

    fn stored(&self) -> Stored {
        let model = self.engine.model();
        let (head, keys) = model.number_sizes();
        Stored {
            quantization: self.engine.quantization(),
            plain: model.dtype().size_in_bytes(),
            head,
            keys,
        }
    }

    /// What an item computes.
    pub(super) fn cost(&self, item: Item) -> Cost {
        let network = &self.network;
        let grid = self.grid();
        let n_latent = grid.n_tokens() + 2;
        let read = self.contexts.without_text.len();
        let (full, alone) = (self.contexts.full.len(), self.contexts.without_image.len());
        let question = || {
            let ids = self.engine.tokenizer().encode_plain(&self.question);
            ids.map_or(0, |ids| ids.len()) + 2
        };
        let decoder = |n, past| network.decoder(n, past, Attends::Fully);
        let text = |n, past| cost::flop(network.decoder(n, past, Attends::Causally));
        let step = |past: usize| decoder(n_latent, past);
        let guided = step(full) + step(read) + step(alone);
        match item {
            Item::ImagePrefill => {
                let n_vit = read - n_latent;
                cost::flop(
                    network.encode(grid)
                        + network.vision(n_vit - 2)
                        + decoder(n_latent, 0)
                        + decoder(n_vit, n_latent),
                )
            }
            Item::TextPrefill => text(question(), read),
            Item::Decode => {
                let past = read + question() + self.n_tokens / 2;
                network.token(past, &self.stored())
            }
            Item::FlowStep1 => cost::flop(step(full)),
            Item::FlowStep3 => cost::flop(guided),
            Item::VaeEncode => cost::flop(network.encode(grid)),
            Item::VaeDecode => cost::flop(network.decode(grid)),
            Item::DepthMap => {
                let n_text = full - read;
                let read = self.cost(Item::ImagePrefill) + text(n_text, read) + text(n_text, 0);
                let n_steps = self.drawing.computed as f64;
                read + cost::flop(guided * n_steps) + self.cost(Item::VaeDecode)
            }
            Item::FirstQuestion | Item::SecondQuestion => {
                let written = self.cost(Item::Decode).flop * self.n_tokens as f64;
                let asked = self.cost(Item::TextPrefill) + cost::flop(written);
                match item {
                    Item::FirstQuestion => self.cost(Item::ImagePrefill) + asked,
                    _ => asked,
                }
            }
        }
    }

    /// Tokens of the image (both blocks), of the question, and of the drawn map, markers among them.
    pub(super) fn sizes(&self) -> (u32, u32, usize, usize) {
        let (width, height) = self.image.dimensions();
        (
            width,
            height,
            self.contexts.without_text.len(),
            self.grid().n_tokens(),
        )
    }

    fn grid(&self) -> Grid {
        let (width, height) = self.image.dimensions();
        self.engine.latent_grid(width, height)
    }

    fn read_image(&self) -> Result<KvContext> {
        let (noise, control) = (&mut Noise::seeded(SEED), &Control::unattended());
        let views = Views::VaeAndVit;
        self.engine
            .read_frame(None, &self.image, views, noise, control)
    }

    fn answer(&self) -> Result<()> {
        self.write(self.read_question(self.read_image()?)?)
    }

    fn read_question(&self, mut context: KvContext) -> Result<KvContext> {
        self.engine.add_user_text(&mut context, &self.question)?;
        Ok(context)
    }

    /// Write greedily without a stop; the end token is a token like any other here.
    fn write(&self, mut context: KvContext) -> Result<()> {
        let (model, tokenizer) = (self.engine.model(), self.engine.tokenizer());
        let mut next = tokenizer.control.im_start;
        for _ in 0..self.n_tokens {
            let hidden = model.prefill_tokens(&mut context, &[next])?;
            next = model.argmax_token(&hidden, tokenizer.len())?;
        }
        Ok(())
    }

    /// One flow step from noise; both scales of guidance are `scale`.
    fn step(&self, scale: f64) -> Result<Tensor> {
        let flow = FlowParams {
            time_points: 2,
            guidance_text: scale,
            guidance_image: scale,
            ..FlowParams::default()
        };
        let (noise, control) = (&mut Noise::seeded(SEED), &mut Control::unattended());
        let size = self.image.dimensions();
        let drawn = self
            .engine
            .sample_latent(&self.contexts, size, &flow, noise, control)?;
        Ok(drawn.tokens)
    }
}

/// Something to look at: gradients with edges.
fn image((width, height): (u32, u32)) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let edge = if (x / 64 + y / 48) % 2 == 0 { 0 } else { 96 };
        image::Rgb([
            (x * 159 / width) as u8 + edge,
            (y * 159 / height) as u8,
            edge,
        ])
    })
}
