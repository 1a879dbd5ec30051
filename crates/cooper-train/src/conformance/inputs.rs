//! What happens before the transformer: tokenizer, preprocessing, vision encoder, autoencoder, colours.

use cooper_imaging::{ResizeRule, load_rgb, spectral_lut};
use cooper_model::engine::Engine;
use cooper_model::{Error, Result};

use super::report::Report;

pub fn check(engine: &Engine, report: &mut Report) -> Result<()> {
    tokenizer(engine, report)?;
    resize_table(report)?;
    images(engine, report)?;
    autoencoder(engine, report)?;
    let lut = spectral_lut();
    report.bytes("spectral_lut_u8", lut.as_flattened())
}

fn tokenizer(engine: &Engine, report: &mut Report) -> Result<()> {
    let (golden, tokenizer) = (report.golden, engine.tokenizer());
    let control = tokenizer.control;
    for (name, got) in [
        ("bos_token_id", control.im_start),
        ("eos_token_id", control.im_end),
        ("start_of_image", control.vision_start),
        ("end_of_image", control.vision_end),
    ] {
        let expected = golden.number(&format!("/special_token_ids/{name}"))? as u32;
        report.equal(&format!("tokenizer.{name}"), &expected, &got);
    }
    let expected = golden.number("/tokenizer_len")? as usize;
    report.equal("tokenizer.len", &expected, &tokenizer.len());
    let prompt = tokenizer.encode(golden.text("/prompt")?)?;
    report.equal("tokenizer.prompt", &golden.ids("/prompt_ids")?, &prompt);
    for i in 0..golden.list("/tokenizer_cases")?.len() {
        let case = format!("/tokenizer_cases/{i}");
        let ids = golden.ids(&format!("{case}/ids"))?;
        let encoded = tokenizer.encode(golden.text(&format!("{case}/text"))?)?;
        report.equal(&format!("tokenizer.case{i}.encode"), &ids, &encoded);
        let decoded = golden.text(&format!("{case}/decoded"))?.to_string();
        report.equal(
            &format!("tokenizer.case{i}.decode"),
            &decoded,
            &tokenizer.decode(&ids)?,
        );
    }
    Ok(())
}

/// The released rules by the table's names: (longest side, shortest side, stride).
const RULES: [(&str, [u32; 3]); 4] = [
    ("vae", [1024, 512, 16]),
    ("vit518", [518, 224, 14]),
    ("vit980", [980, 224, 14]),
    ("vae512", [512, 256, 16]),
];

fn resize_table(report: &mut Report) -> Result<()> {
    let file = report.golden.file("resize_table.csv");
    let table = std::fs::read_to_string(&file).map_err(|e| Error::io(&file, e))?;
    for row in table.lines().skip(1) {
        let wrong = || Error::Config {
            path: file.clone(),
            why: format!("expected name,width,height,out_width,out_height, got `{row}`"),
        };
        let (name, sizes) = row.split_once(',').ok_or_else(wrong)?;
        let sizes: Vec<u32> = sizes
            .split(',')
            .filter_map(|n| n.trim().parse().ok())
            .collect();
        let [width, height, out_width, out_height] = sizes[..] else {
            return Err(wrong());
        };
        let rule = RULES.iter().find(|(known, _)| *known == name);
        let [max_size, min_size, stride] = rule.ok_or_else(wrong)?.1;
        let rule = ResizeRule {
            max_size,
            min_size,
            stride,
            max_pixels: 14 * 14 * 9 * 1024,
        };
        let got = rule.output_size(width, height);
        let group = format!("resize_table.{name}.{width}x{height}");
        report.equal(&group, &(out_width, out_height), &got);
    }
    Ok(())
}

fn images(engine: &Engine, report: &mut Report) -> Result<()> {
    let device = engine.model().device();
    let resized = engine.vae_rule().apply(&report.golden.image);
    report.image("pre.vae_resized_u8", &resized)?;
    let over_white = load_rgb(&report.golden.file("image_rgba.png"))?;
    report.image("pre.rgba_on_white_u8", &over_white)?;
    let normalization = engine.normalization();
    report.tensor("pre.vae_pixels", &normalization.pixels(&resized, device)?)?;
    let for_vit = engine.vit_rule().apply(&resized);
    report.tensor("pre.vit_pixels", &normalization.pixels(&for_vit, device)?)?;
    let (patches, grid) = engine.vit_patches(&resized)?;
    report.tensor("pre.vit_patches", &patches)?;
    report.tensor("vit.position_ids", &engine.model().vit_position_ids(grid)?)?;
    let features = engine.model().vit_features(&patches, grid)?;
    report.tensor("vit.features", &features)?;
    report.tensor("vit.embeds", &engine.model().embed_vit(&features, &[grid])?)
}

fn autoencoder(engine: &Engine, report: &mut Report) -> Result<()> {
    let vae = engine.vae();
    let image = engine.vae_rule().apply(&report.golden.image);
    let pixels = engine
        .normalization()
        .pixels(&image, engine.model().device())?;
    let moments = vae.moments(&pixels.unsqueeze(0)?)?;
    report.tensor("vae.moments", &moments)?;
    let mean = vae.latent(&moments, None)?;
    report.tensor("vae.latent_mean", &mean)?;
    report.tensor("vae.decoded_mean", &vae.decode(&mean)?)
}
