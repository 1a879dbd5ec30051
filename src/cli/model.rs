//! The flags of every command that runs the model, and the default model.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use cooper_model::engine::{
    DeviceChoice, DtypeChoice, FlowParams, FlowProfile, ModelOptions, Quantization, SamplingParams,
};
use cooper_model::flow::Renorm;
use cooper_model::reasoning::Mode;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{LoadedModel, Settings};

use super::progress::note;

/// The shipped model's folder, in [`MODELS`].
pub(super) const SHIPPED: &str = "cooper-nano";
/// Where models lie below a checkout or an installed `share/cooper_perception`.
const MODELS: &str = "models";
/// What the shipped model is.
pub(super) const SHIPPED_IS: &str = "the small shipped model, which knows synthetic rooms only";

/// Which model, and how it draws.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Model directory as downloaded (configs, tokenizer, ae.safetensors) [default: models/cooper-nano]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Transformer weights, where they lie apart from the configs (COOPER's over BAGEL's)
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// auto, f32, bf16 or f16
    #[arg(long, default_value = "auto")]
    dtype: DtypeChoice,
    /// Quantisation of the transformer's matrices while loading
    #[arg(long, default_value = "none", value_parser = quantization())]
    quantization: Quantization,
    /// Load the model even if less memory is available than it will take
    #[arg(long)]
    ignore_memory: bool,
    /// Prompts, instead of the model directory's or the built-in ones
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Of all randomness: the same seed and image give the same result on the same device
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    flow: FlowArgs,
}

/// How maps are drawn.
#[derive(Debug, Args)]
#[command(next_help_heading = "Drawing maps")]
struct FlowArgs {
    /// paper, or realtime: at most 10 time points and a cache threshold of 0.2, guided alike; the flags below hold over it
    #[arg(long, value_name = "NAME", default_value = "paper")]
    profile: FlowProfile,
    /// Points on the time axis; one flow step fewer is run [default: the model's, else 50]
    #[arg(long, value_name = "N", value_parser = at_least::<2>)]
    time_points: Option<usize>,
    /// Strength of the guidance by the text; 1 is none [default: the model's, else 4]
    #[arg(long, value_name = "SCALE", value_parser = finite)]
    guidance_text: Option<f64>,
    /// Strength of the guidance by the image; 1 is none [default: the model's, else 2]
    #[arg(long, value_name = "SCALE", value_parser = finite)]
    guidance_image: Option<f64>,
    /// Times (1 noise, 0 image) between which guidance is on [default: the model's]
    #[arg(long, value_name = "LO,HI", value_parser = interval)]
    guidance_interval: Option<Interval>,
    /// How a guided velocity is brought back to size: global, channel or text_channel [default: the model's]
    #[arg(long, value_name = "KIND")]
    renorm: Option<Renorm>,
    /// Above 1, more steps are spent near the noise [default: the model's, else 3]
    #[arg(long, value_name = "SHIFT", value_parser = positive)]
    timestep_shift: Option<f64>,
    /// Forecast steps whose velocity is expected to be off by this share at most, 0 to 1; 0 computes all
    /// [default: the model's, else 0]
    #[arg(long, value_name = "SHARE", value_parser = threshold)]
    cache_threshold: Option<f64>,
}

/// How text is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Writing text")]
pub(super) struct SamplingArgs {
    /// Tokens that a turn may have
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = SamplingParams::default().max_new_tokens)]
    max_new_tokens: usize,
    /// 0 is greedy
    #[arg(long, value_parser = not_negative, default_value_t = SamplingParams::default().temperature)]
    temperature: f64,
    /// Sample from the most probable tokens that together have this probability
    #[arg(long, value_parser = share, default_value_t = SamplingParams::default().top_p)]
    top_p: f64,
}

#[derive(Clone, Copy, Debug)]
struct Interval([f64; 2]);

impl ModelArgs {
    /// Which model to load; the shipped one if none is named.
    pub(super) fn options(&self) -> Result<ModelOptions> {
        Ok(ModelOptions {
            dir: self.model.clone().map_or_else(default_model, Ok)?,
            weights: self.weights.clone(),
            device: self.device,
            dtype: self.dtype,
            quantization: self.quantization,
            ignores_memory: self.ignore_memory,
        })
    }

    /// Load the model and print how long it took.
    pub(super) fn load(&self) -> Result<LoadedModel> {
        let options = self.options()?;
        if self.model.is_none() {
            note(&format!(
                "no --model: this is {SHIPPED}, {SHIPPED_IS}; --model DIR takes another"
            ));
        }
        note(&format!("loading {}", options.dir.display()));
        let started = std::time::Instant::now();
        let model = LoadedModel::load(&options, self.prompts.as_deref())?;
        note(&format!(
            "loaded in {:.1} s",
            started.elapsed().as_secs_f64()
        ));
        Ok(model)
    }

    /// The settings of a map: the flags over the model's own values over the defaults.
    pub(super) fn settings(&self) -> Result<Settings> {
        let flags = &self.flow;
        let dir = self.options()?.dir;
        let own = flags.profile.of(FlowParams::of_model(&dir)?);
        let interval = flags.guidance_interval.map(|interval| interval.0);
        let flow = FlowParams {
            time_points: flags.time_points.unwrap_or(own.time_points),
            guidance_text: flags.guidance_text.unwrap_or(own.guidance_text),
            guidance_image: flags.guidance_image.unwrap_or(own.guidance_image),
            guidance_interval: interval.unwrap_or(own.guidance_interval),
            renorm: flags.renorm.unwrap_or(own.renorm),
            timestep_shift: flags.timestep_shift.unwrap_or(own.timestep_shift),
            cache_threshold: flags.cache_threshold.unwrap_or(own.cache_threshold),
            ..own
        };
        Ok(Settings {
            flow,
            seed: self.seed,
            ..Settings::default()
        })
    }

    /// The settings of a question, and of the maps that it asks for.
    pub(super) fn answer_settings(
        &self,
        sampling: &SamplingArgs,
        mode: Mode,
        max_turns: usize,
    ) -> Result<Settings> {
        Ok(Settings {
            sampling: SamplingParams {
                max_new_tokens: sampling.max_new_tokens,
                temperature: sampling.temperature,
                top_p: sampling.top_p,
            },
            mode,
            max_turns,
            ..self.settings()?
        })
    }
}

/// The shipped model: beside the installed executable, else in the checkout around it or around us.
pub(super) fn default_model() -> Result<PathBuf> {
    let executable = std::env::current_exe().unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    let shipped = Path::new(MODELS).join(SHIPPED);
    let installed = |prefix: &Path| prefix.join("share/cooper_perception").join(&shipped);
    let candidates = executable
        .ancestors()
        .skip(1)
        .flat_map(|folder| [installed(folder), folder.join(&shipped)])
        .chain(here.ancestors().map(|folder| folder.join(&shipped)));
    candidates
        .into_iter()
        .find(|dir| dir.join("llm_config.json").is_file())
        .ok_or_else(|| {
            Error::invalid(
                "--model",
                format!(
                    "expected a model, got none, and {} is neither installed beside {} nor in {} or above it; \
                     name a model directory with --model DIR (and its weights, where they lie apart, with --weights FILE)",
                    shipped.display(),
                    executable.display(),
                    here.display()
                ),
            )
        })
}

/// A whole number from `MIN` up.
pub(super) fn at_least<const MIN: usize>(text: &str) -> std::result::Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number >= MIN);
    number.ok_or_else(|| format!("expected a whole number from {MIN} up"))
}

fn number(
    text: &str,
    expected: &str,
    holds: impl Fn(f64) -> bool,
) -> std::result::Result<f64, String> {
    let number = text.trim().parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && holds(*number))
        .ok_or_else(|| format!("expected {expected}"))
}

fn finite(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number", |_| true)
}

/// A number above 0.
pub(super) fn positive(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number above 0", |number| number > 0.0)
}

fn not_negative(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number from 0 up", |number| number >= 0.0)
}

fn share(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number above 0 and at most 1", |number| {
        number > 0.0 && number <= 1.0
    })
}

/// A number from 0 to 1.
pub(super) fn threshold(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number from 0 to 1", |number| {
        (0.0..=1.0).contains(&number)
    })
}

fn interval(text: &str) -> std::result::Result<Interval, String> {
    let expected = "expected two numbers LO,HI with 0 <= LO <= HI <= 1";
    let (low, high) = text.split_once(',').ok_or(expected)?;
    let (low, high) = (finite(low)?, finite(high)?);
    if 0.0 <= low && low <= high && high <= 1.0 {
        Ok(Interval([low, high]))
    } else {
        Err(expected.into())
    }
}

/// Parses `none` or a quantisation.
pub(super) fn quantization() -> impl TypedValueParser<Value = Quantization> {
    PossibleValuesParser::new(Quantization::NAMES).try_map(|name| name.parse::<Quantization>())
}

/// Parses a quantisation other than `none`.
pub(super) fn quantized_type() -> impl TypedValueParser<Value = Quantization> {
    let names = Quantization::NAMES.iter().filter(|name| **name != "none");
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Quantization>())
}

/// The size of an image, such as `640x480`.
pub(super) fn image_size(text: &str) -> std::result::Result<(u32, u32), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=8192).contains(side));
    text.split_once('x')
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| {
            format!(
                "expected a width and a height from 1 to 8192 pixels, such as 640x480, got `{text}`"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_two_numbers_in_order() {
        assert_eq!(interval("0.4,1").unwrap().0, [0.4, 1.0]);
        assert_eq!(interval("0, 1.0").unwrap().0, [0.0, 1.0]);
        for wrong in ["0.4", "1,0.4", "-1,1", "a,b", "0,nan", "0,2"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_held_to_their_range() {
        assert_eq!(at_least::<2>("2"), Ok(2));
        assert!(at_least::<2>("1").is_err() && at_least::<2>("two").is_err());
        assert!(share("0").is_err() && share("1.1").is_err() && share("1").is_ok());
        assert!(threshold("0").is_ok() && threshold("1.1").is_err() && threshold("nan").is_err());
        assert!(positive("inf").is_err() && not_negative("-1").is_err());
    }

    #[test]
    fn sizes_are_read_and_others_refused() {
        assert_eq!(image_size("640x480"), Ok((640, 480)));
        for wrong in ["", "640", "640x", "0x480", "640x480x3", "8193x1", "-1x1"] {
            let told = image_size(wrong).unwrap_err();
            assert!(
                told.contains("such as 640x480, got") && told.contains(wrong),
                "{told}"
            );
        }
    }
}
