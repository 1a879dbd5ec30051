//! Contexts, greedy text and flow.

use cooper_imaging::spectral;
use cooper_model::engine::{
    Control, Engine, FlowParams, GuidanceContexts, KvContext, Noise, SamplingParams, Views,
};
use cooper_model::model::pixels::from_unit_pixels;
use cooper_model::{Error, Result};

use super::report::Report;

pub fn check(engine: &Engine, report: &mut Report) -> Result<()> {
    let prompt = report.golden.text("/prompt")?;
    let image = &report.golden.image;
    let mut text = KvContext::default();
    engine.prefill_text(&mut text, prompt)?;
    context(engine, report, "ctx.text", &text)?;
    let mut vae = KvContext::default();
    let mut noise = Noise::given([report.input("ctx.vae.noise")?]);
    engine.prefill_image(&mut vae, image, Views::Vae, &mut noise)?;
    context(engine, report, "ctx.vae", &vae)?;
    let mut vit = KvContext::default();
    engine.prefill_image(&mut vit, image, Views::Vit, &mut noise)?;
    context(engine, report, "ctx.vit", &vit)?;
    engine.prefill_text(&mut vit, prompt)?;
    context(engine, report, "ctx.vit_text", &vit)?;
    greedy(engine, report, &vit)?;
    flow(engine, report)
}

/// Lengths, positions, the caches of those layers that the golden file holds, and the next token's logits.
fn context(engine: &Engine, report: &mut Report, name: &str, context: &KvContext) -> Result<()> {
    let golden = report.golden;
    for (what, got) in [
        ("kv_lens", context.len()),
        ("ropes", context.next_position() as usize),
    ] {
        let expected = golden.number(&format!("/contexts/{name}/{what}/0"))? as usize;
        report.equal(&format!("{name}.{what}"), &expected, &got);
    }
    for layer_idx in 0..engine.config().llm.num_hidden_layers {
        let Some((k, v)) = context.layer(layer_idx)? else {
            continue;
        };
        for (letter, tensor) in [("k", k), ("v", v)] {
            let tensor_name = format!("{name}.{letter}{layer_idx}");
            if golden.has(&tensor_name) {
                report.tensor(&tensor_name, &tensor.transpose(0, 1)?)?; // (len, kv, d)
            }
        }
    }
    let logits = format!("{name}.next_logits");
    if golden.has(&logits) {
        report.tensor(&logits, &next_logits(engine, context)?)?;
    }
    Ok(())
}

/// The logits of the first token of a text in this context.
pub fn next_logits(engine: &Engine, context: &KvContext) -> Result<candle_core::Tensor> {
    let start = engine.tokenizer().control.im_start;
    let hidden = engine
        .model()
        .prefill_tokens(&mut context.clone(), &[start])?;
    Ok(engine.model().next_logits(&hidden)?)
}

fn greedy(engine: &Engine, report: &mut Report, context: &KvContext) -> Result<()> {
    let max_length = report.golden.number("/greedy/max_length")? as usize;
    let sampling = SamplingParams {
        max_new_tokens: max_length.saturating_sub(1),
        ..SamplingParams::default()
    };
    let generation = engine.generate_text(context, &sampling, 0, &mut Control::unattended())?;
    report.greedy_ids(
        "greedy.ids",
        &report.golden.ids("/greedy/ids")?,
        &generation.ids,
    );
    Ok(())
}

fn flow(engine: &Engine, report: &mut Report) -> Result<()> {
    let golden = report.golden;
    let prompt = golden.text("/flow/prompt")?;
    let mut contexts = GuidanceContexts::default();
    let mut noise = Noise::given([report.input("flow.vae_noise")?]);
    let full = &mut contexts.full;
    engine.prefill_image(full, &golden.image, Views::VaeAndVit, &mut noise)?;
    contexts.without_text = full.clone();
    engine.prefill_text(full, prompt)?;
    engine.prefill_text(&mut contexts.without_image, prompt)?;
    context(engine, report, "flow.ctx", &contexts.full)?;
    let start = report.input("flow.init_noise")?;
    let size = ["/flow/image_size_hw/1", "/flow/image_size_hw/0"];
    let size = (
        golden.number(size[0])? as u32,
        golden.number(size[1])? as u32,
    );
    for i in 0..golden.list("/flow/cases")?.len() {
        let params = case(report, i)?;
        let name = golden.text(&format!("/flow/cases/{i}/name"))?;
        let mut noise = Noise::given([start.clone()]);
        let control = &mut Control::unattended();
        let drawn = engine.sample_latent(&contexts, size, &params, &mut noise, control)?;
        let latent = drawn.tokens;
        report.latent(&format!("flow.{name}.latent"), &latent)?;
        let pixels = engine.decode_latent(&latent, size)?;
        let image = from_unit_pixels(&pixels)?;
        report.drawn_image(&format!("flow.{name}.image_u8"), &image)?;
        if name == "text_channel" {
            let depth = pixels.mean(0)?;
            report.tensor("flow.depth01", &depth)?;
            let color = spectral(&depth.flatten_all()?.to_vec1::<f32>()?, size.0, size.1);
            report.depth_image("flow.depth_color_u8", &color)?;
        }
    }
    Ok(())
}

fn case(report: &Report, i: usize) -> Result<FlowParams> {
    let golden = report.golden;
    let number = |name: &str| golden.number(&format!("/flow/cases/{i}/{name}"));
    let renorm = golden
        .text(&format!("/flow/cases/{i}/cfg_renorm_type"))
        .unwrap_or("global");
    Ok(FlowParams {
        time_points: golden.number("/flow/num_timesteps")? as usize,
        guidance_text: number("cfg_text_scale")?,
        guidance_image: number("cfg_img_scale")?,
        guidance_interval: [number("cfg_interval/0")?, number("cfg_interval/1")?],
        renorm: renorm
            .parse()
            .map_err(|why: String| Error::invalid("flow.cases", why))?,
        renorm_min: number("cfg_renorm_min").unwrap_or(0.0),
        timestep_shift: golden.number("/flow/timestep_shift")?,
        cache_threshold: 0.0,
    })
}
