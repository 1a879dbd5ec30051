//! One packed training sample: mask, losses, and the gradient of every parameter.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use cooper_kernels::Matrices;
use cooper_kernels::SafetensorsHeader;
use cooper_model::engine::Engine;
use cooper_model::model::UnifiedModel;
use cooper_model::model::inventory::PositionSides;
use cooper_model::{Error, Result};
use serde_json::Value;

use super::report::{Format, Report};
use crate::training::{Packer, cross_entropy, flow_error, shifted_time};

/// Gradients and their norms, relative to the largest value.
const GRADIENT_TOLERANCE: f64 = 1e-3;
/// Golden gradients with more elements are stored flattened and cut here.
const STORED_ELEMENTS: usize = 20_000;

type Vars = HashMap<String, Var>;

pub fn check(engine: &Engine, report: &mut Report) -> Result<()> {
    if report.golden.json.get("train").is_none() {
        return Ok(());
    }
    if report.format != Format::F32 {
        report.skip_group(
            "train.",
            "not compared: training runs in f32 without quantisation",
        );
        return Ok(());
    }
    let (model, vars) = trainable(engine, report)?;
    let (mse, ce) = losses(engine, report, &model)?;
    let golden = report.golden;
    let weight = |name: &str| golden.number(&format!("/train/{name}"));
    let loss =
        ((mse.mean_all()? * weight("mse_weight")?)? + (ce.mean_all()? * weight("ce_weight")?)?)?;
    report.number(
        "train.loss",
        weight("loss")?,
        f64::from(loss.to_scalar::<f32>()?),
    );
    gradients(engine, report, &vars, &loss.backward()?)
}

/// The same model with weights that gradients are kept for.
fn trainable(engine: &Engine, report: &Report) -> Result<(UnifiedModel, Vars)> {
    let file = report.golden.file("checkpoint/ema.safetensors");
    let header = SafetensorsHeader::read(&file).map_err(|why| Error::Weights {
        path: file.clone(),
        why,
    })?;
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu)?;
    let var = |(name, tensor): (String, Tensor)| Ok((name, Var::from_tensor(&tensor)?));
    let vars: Vars = tensors.into_iter().map(var).collect::<Result<_>>()?;
    let tensors = vars.iter().map(|(name, var)| {
        let fixed = name.ends_with("pos_embed.pos_embed");
        let tensor = if fixed {
            var.as_detached_tensor()
        } else {
            var.as_tensor().clone()
        };
        (name.clone(), tensor)
    });
    let vb = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    let sides = PositionSides::new(engine.config(), &header);
    let model = UnifiedModel::new(
        engine.config(),
        sides,
        engine.tokenizer().control,
        vb,
        &Matrices::default(),
    )?;
    Ok((model, vars))
}

/// Pack the sample as `expected.json` describes it; returns squared errors (n, c) and cross-entropies (n).
fn losses(engine: &Engine, report: &mut Report, model: &UnifiedModel) -> Result<(Tensor, Tensor)> {
    let golden = report.golden;
    let mut packer = Packer::new(engine.tokenizer().control);
    let image = engine.vae_rule().apply(&golden.image);
    let grid = engine.latent_grid(image.width(), image.height());
    let latent = report.input("train.latent")?;
    let clean = engine.patchify_latent(&latent, grid)?;
    let target = engine.patchify_latent(&flipped(&latent)?, grid)?;
    let noise = report.input("train.noise")?;
    let mut noise = noise.narrow(0, noise.dim(0)? - grid.n_tokens(), grid.n_tokens())?;
    noise = noise.contiguous()?;
    let t = shifted_time(
        golden.number("/train/timestep_raw")?,
        golden.number("/train/timestep_shift")?,
    );
    let x_t = ((&target * f64::from(1.0 - t))? + (&noise * f64::from(t))?)?;
    let (mut drawn, mut text) = (0..0, 0..0);
    let mut start = 0;
    for (i, mode) in golden.list("/train/attn_modes")?.iter().enumerate() {
        let n = golden.number(&format!("/train/split_lens/{i}"))? as usize;
        match mode.as_str() {
            Some("noise") => drawn = packer.add_noised(x_t.clone(), t, grid),
            Some("full") if holds(golden.list("/train/packed_vae_token_indexes")?, start + 1) => {
                packer.add_clean(clean.clone(), grid);
            }
            Some("full") => {
                let (patches, grid) = engine.vit_patches(&image)?;
                packer.add_vit(patches, grid);
            }
            _ => text = packer.prefill_text(&text_ids(report, start..start + n)?),
        }
        start += n;
    }
    let packed = packer.finish(model.device())?;
    report.equal(
        "train.packed_position_ids",
        &golden.ids("/train/packed_position_ids")?,
        &packed.positions(0),
    );
    if let Some(mask) = packed.mask(0) {
        report.tensor("train.attention_mask_is_zero", &mask.eq(0f32)?)?;
    }
    let hidden = packed.forward(model)?;
    let latents = hidden.latents.unwrap_or_else(|| hidden.text.clone());
    let velocity = model.velocity_head(&latents.narrow(0, drawn.start, drawn.len())?)?;
    let mse = flow_error(&velocity, &target, &noise)?;
    report.tensor("train.mse", &mse)?;
    let labels = golden.ids("/train/labels")?;
    let logits = model.logits(&hidden.text.narrow(0, text.start, labels.len())?)?;
    let ce = cross_entropy(&logits, &labels)?;
    report.tensor("train.ce", &ce)?;
    Ok((mse, ce))
}

/// A latent (z, lh, lw) mirrored along its width.
fn flipped(latent: &Tensor) -> Result<Tensor> {
    let width = latent.dim(2)? as u32;
    let columns: Vec<u32> = (0..width).rev().collect();
    Ok(latent.index_select(&Tensor::new(columns, latent.device())?, 2)?)
}

fn holds(indexes: &[Value], index: usize) -> bool {
    indexes
        .iter()
        .any(|value| value.as_u64() == Some(index as u64))
}

/// The ids of the text tokens at these places of the sequence.
fn text_ids(report: &Report, places: std::ops::Range<usize>) -> Result<Vec<u32>> {
    let ids = report.golden.ids("/train/packed_text_ids")?;
    let indexes = report.golden.ids("/train/packed_text_indexes")?;
    let here = indexes
        .iter()
        .zip(ids)
        .filter(|(i, _)| places.contains(&(**i as usize)));
    Ok(here.map(|(_, id)| id).collect())
}

fn gradients(engine: &Engine, report: &mut Report, vars: &Vars, store: &GradStore) -> Result<()> {
    let golden = report.golden;
    let gradient = |name: &str| {
        let var = vars.get(name).ok_or_else(|| {
            Error::invalid(name, "expected such a parameter in the model, got none")
        })?;
        let gradient = store.get(var).cloned();
        Ok::<_, Error>(gradient.unwrap_or(var.zeros_like()?))
    };
    let norms = golden.value("/train/grad_norms")?.as_object();
    for (name, expected) in norms.into_iter().flatten() {
        let norm = gradient(name)?
            .sqr()?
            .sum_all()?
            .sqrt()?
            .to_scalar::<f32>()?;
        let expected = expected.as_f64().unwrap_or(f64::NAN);
        report.relative(
            &format!("train.grad_norm.{name}"),
            expected,
            norm.into(),
            GRADIENT_TOLERANCE,
        );
    }
    for stored in golden.names()? {
        let Some(name) = stored.strip_prefix("train.grad.") else {
            continue;
        };
        let got = if name == "embed_rows" {
            let control = engine.tokenizer().control;
            let rows = [
                control.im_start,
                control.im_end,
                control.vision_start,
                control.vision_end,
            ];
            let rows = Tensor::new(&rows, &Device::Cpu)?;
            gradient("language_model.model.embed_tokens.weight")?.index_select(&rows, 0)?
        } else {
            let whole = gradient(name)?;
            if whole.elem_count() > STORED_ELEMENTS {
                whole.flatten_all()?.narrow(0, 0, STORED_ELEMENTS)?
            } else {
                whole
            }
        };
        report.tensor_relative(&stored, &got, GRADIENT_TOLERANCE)?;
    }
    Ok(())
}
