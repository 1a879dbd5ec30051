//! The reasoning modes, with the model's texts replaced by a script.

use cooper_model::engine::{Control, Engine, FlowParams, Generation, KvContext, MapKind, Noise};
use cooper_model::reasoning::{
    GenerationContexts, Mode, PromptedEngine, Prompts, Settings, TextGenerator, Transcript,
    answer_with,
};
use cooper_model::{Error, Result};
use image::RgbImage;

use super::contexts::next_logits;
use super::report::Report;

/// Time points of the scripted runs; their other flow settings are the defaults.
const TIME_POINTS: usize = 4;

pub fn check(engine: &Engine, report: &mut Report) -> Result<()> {
    for (name, mode) in [
        ("interleaved", Mode::Interleaved),
        ("interleaved_no_answer", Mode::Interleaved),
        ("perception", Mode::Perception),
        ("text_reason", Mode::Text),
    ] {
        if report.golden.json.get(name).is_some() {
            run(engine, report, name, mode)?;
        }
    }
    Ok(())
}

/// The context before a turn.
struct Moment {
    logits: candle_core::Tensor,
    len: usize,
    position: usize,
}

/// Generates the script's lines, recording the context before each.
struct Script {
    lines: Vec<String>,
    moments: Vec<Moment>,
}

impl TextGenerator for Script {
    fn generate(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        _: &mut Control,
    ) -> Result<Generation> {
        self.moments.push(Moment {
            logits: next_logits(engine, context)?,
            len: context.len(),
            position: context.next_position() as usize,
        });
        Ok(Generation {
            text: self.lines.get(turn - 1).cloned().unwrap_or_default(),
            ended: true,
            ..Generation::default()
        })
    }

    fn repeats_itself(&self) -> bool {
        false
    }
}

fn run(engine: &Engine, report: &mut Report, name: &str, mode: Mode) -> Result<()> {
    let golden = report.golden;
    let prompts = prompts(report)?;
    let mut script = Script {
        lines: golden.texts(&format!("/{name}/script")).unwrap_or_default(),
        moments: Vec::new(),
    };
    let settings = Settings {
        flow: FlowParams {
            time_points: TIME_POINTS,
            ..FlowParams::default()
        },
        mode,
        max_turns: script.lines.len().max(1),
        ..Settings::default()
    };
    let model = PromptedEngine {
        engine,
        prompts: &prompts,
    };
    let noise = noise(report, name)?;
    let shown = shown(report, name)?;
    let mut contexts = GenerationContexts::new(model, &settings, noise).showing(shown);
    let (image, question) = (&golden.image, golden.text("/prompt")?);
    let control = &mut Control::unattended();
    let transcript = answer_with(&mut script, &mut contexts, image, question, control)?;
    moments(report, name, &script.moments)?;
    outputs(report, name, &transcript)
}

/// The stand-ins that the reference used for the long prompts.
fn prompts(report: &Report) -> Result<Prompts> {
    let golden = report.golden;
    let test = |name: &str| {
        golden
            .text(&format!("/test_prompts/{name}"))
            .map(Into::into)
    };
    let built_in = Prompts::built_in()?;
    Ok(Prompts {
        interleave_system: test("interleave_system")?,
        perception_system: test("perception_system")?,
        think_system: test("think_system")?,
        reflection: test("reflection")?,
        ..built_in
    })
}

/// The run's noise in the order of use: the posterior's, then each drawing's start.
fn noise(report: &mut Report, name: &str) -> Result<Noise> {
    let posterior = format!("{name}.vae_noise");
    let starts = (0..).map(|i| format!("{name}.init_noise{i}"));
    let golden = report.golden;
    let names: Vec<String> = std::iter::once(posterior)
        .chain(starts.take_while(|start| golden.has(start)))
        .filter(|name| golden.has(name))
        .collect();
    let tensors: Result<Vec<_>> = names.iter().map(|name| report.input(name)).collect();
    Ok(Noise::given(tensors?))
}

/// The reference's own maps, on which its next steps rest.
fn shown(report: &Report, name: &str) -> Result<Vec<RgbImage>> {
    let golden = report.golden;
    let names = (0..).map(|i| format!("{name}.image{i}_u8"));
    let names = names.take_while(|image| golden.has(image));
    names.map(|image| golden.image(&image)).collect()
}

fn moments(report: &mut Report, name: &str, moments: &[Moment]) -> Result<()> {
    let golden = report.golden;
    let steps = golden.list(&format!("/{name}/steps")).map_or(1, Vec::len);
    report.equal(&format!("{name}.n_turns"), &steps, &moments.len());
    for (i, moment) in moments.iter().enumerate() {
        let mut step = format!("/{name}/steps/{i}");
        if golden.value(&step).is_err() {
            step = format!("/{name}");
        }
        for (what, got) in [("kv_lens", moment.len), ("ropes", moment.position)] {
            let expected = golden.number(&format!("{step}/{what}/0"))? as usize;
            report.equal(&format!("{name}.{what}{i}"), &expected, &got);
        }
        report.tensor(&format!("{name}.logits{i}"), &moment.logits)?;
    }
    Ok(())
}

/// The drawn maps and the last text.
fn outputs(report: &mut Report, name: &str, transcript: &Transcript) -> Result<()> {
    for (i, evidence) in transcript.evidence.iter().enumerate() {
        let name = format!("{name}.image{i}_u8");
        match evidence.kind {
            MapKind::Depth => report.depth_image(&name, &evidence.image)?,
            MapKind::Segmentation => report.drawn_image(&name, &evidence.image)?,
        }
    }
    let Ok(output) = report.golden.texts(&format!("/{name}/output")) else {
        return Ok(());
    };
    let wrong = || {
        Error::invalid(
            format!("{name}.output"),
            "expected at least one text, got none",
        )
    };
    let last = output.last().ok_or_else(wrong)?;
    report.equal(
        &format!("{name}.output"),
        last,
        &transcript.text().to_string(),
    );
    Ok(())
}
