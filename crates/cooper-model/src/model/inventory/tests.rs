//! The released sizes, the fixture's files, and every kind of difference.

use std::path::Path;

use cooper_kernels::TensorInfo;
use safetensors::Dtype;

use super::*;

fn released() -> ModelConfig {
    let json = serde_json::json!({
        "llm": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
            "rope_theta": 1e6, "rms_norm_eps": 1e-6},
        "vit": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "patch_size": 14},
    });
    ModelConfig {
        llm: serde_json::from_value(json["llm"].clone()).unwrap(),
        vit: serde_json::from_value(json["vit"].clone()).unwrap(),
        bagel: Default::default(),
        vae: Default::default(),
        preprocessor: Default::default(),
        depth: Default::default(),
        palette: None,
    }
}

fn header_of(shapes: &Shapes) -> SafetensorsHeader {
    let info = |shape: &Vec<usize>| TensorInfo {
        dtype: Dtype::BF16,
        shape: shape.clone(),
    };
    SafetensorsHeader {
        tensors: shapes.iter().map(|(n, s)| (n.clone(), info(s))).collect(),
    }
}

fn elements(shapes: &Shapes) -> usize {
    shapes.values().map(|s| s.iter().product::<usize>()).sum()
}

/// A whole released header, changed by `change`, against the released configs.
fn check_changed(change: impl FnOnce(&mut Shapes)) -> Mismatch {
    let config = released();
    let mut shapes = expected_tensors(&config, &SafetensorsHeader::default());
    change(&mut shapes);
    check(&config, &header_of(&shapes))
}

#[test]
fn the_released_model_has_its_tensors_and_parameters() {
    let shapes = expected_tensors(&released(), &SafetensorsHeader::default());
    assert_eq!(shapes.len(), 1223);
    assert_eq!(elements(&shapes), 14_607_260_128);
    assert_eq!(header_of(&shapes).elements(), 14_607_260_128);
    assert!(check_changed(|_| {}).is_empty());
}

#[test]
fn the_released_autoencoder_has_its_parameters() {
    let shapes = expected_vae_tensors(&VaeConfig::default());
    let part = |prefix: &str| {
        let of_part = shapes.iter().filter(|(n, _)| n.starts_with(prefix));
        elements(&of_part.map(|(n, s)| (n.clone(), s.clone())).collect())
    };
    assert_eq!(elements(&shapes), 83_819_683);
    assert_eq!(part("encoder."), 34_274_208);
    assert_eq!(part("decoder."), 49_545_475);
}

#[test]
fn the_fixture_is_exactly_what_its_configs_say() {
    let dir = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/random-a/checkpoint"
    ));
    let config = ModelConfig::load(dir).unwrap();
    let header = SafetensorsHeader::read(&dir.join("ema.safetensors")).unwrap();
    assert_eq!(
        expected_tensors(&config, &header).len(),
        header.tensors.len()
    );
    assert_eq!(check(&config, &header), Mismatch::default());
    let header = SafetensorsHeader::read(&dir.join("ae.safetensors")).unwrap();
    assert_eq!(
        expected_vae_tensors(&config.vae).len(),
        header.tensors.len()
    );
    assert_eq!(check_vae(&config.vae, &header), Mismatch::default());
}

#[test]
fn tables_say_their_own_size_and_may_be_absent() {
    let smaller = |shapes: &mut Shapes| {
        shapes.insert(LATENT_POSITIONS.into(), vec![32 * 32, 3584]);
        shapes.insert(VIT_PATCH_POSITIONS.into(), vec![40 * 40, 1152]);
        shapes.insert(VIT_POSITIONS.into(), vec![40 * 40, 3584]);
    };
    assert!(check_changed(smaller).is_empty());
    let absent = |shapes: &mut Shapes| {
        shapes.remove(LATENT_POSITIONS);
        shapes.remove(VIT_POSITIONS);
    };
    assert!(check_changed(absent).is_empty());
    let odd = |shapes: &mut Shapes| drop(shapes.insert(LATENT_POSITIONS.into(), vec![4100, 3584]));
    let text = check_changed(odd).to_string();
    assert!(
        text.contains("expected [4096, 3584], got [4100, 3584] (the rows must be"),
        "{text}"
    );
}

#[test]
fn known_unused_tensors_are_no_problem() {
    let exported = |shapes: &mut Shapes| {
        for name in [
            "vit_model.vision_model.head.probe",
            "vit_model.vision_model.encoder.layers.26.mlp.fc1.weight",
            "vit_model.vision_model.embeddings.position_ids",
            "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
        ] {
            shapes.insert(name.into(), vec![1]);
        }
    };
    assert!(check_changed(exported).is_empty());
}

#[test]
fn every_difference_is_listed_at_once() {
    let mismatch = check_changed(|shapes| {
        shapes.retain(|name, _| !name.contains("layers.5.mlp_moe_gen"));
        shapes.retain(|name, _| !name.contains("layers.3.self_attn"));
        shapes.insert("vae2llm.weight".into(), vec![3584, 16]);
        shapes.insert(
            "language_model.model.layers.28.mlp.up_proj.weight".into(),
            vec![2],
        );
    });
    assert_eq!(mismatch.missing.len(), 3 + 18 + 8);
    let text = mismatch.to_string();
    for part in [
        "29 missing tensors:\n",
        "\n  and 9 more\n",
        "1 unexpected tensor:\n  language_model.model.layers.28.mlp.up_proj.weight",
        "1 misshapen tensor:\n  vae2llm.weight: expected [3584, 64], got [3584, 16]",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn integers_are_no_weights() {
    let config = released();
    let shapes = expected_tensors(&config, &SafetensorsHeader::default());
    let mut header = header_of(&shapes);
    header.tensors.get_mut("vae2llm.bias").unwrap().dtype = Dtype::I8;
    assert_eq!(check(&config, &header).not_float, ["vae2llm.bias (I8)"]);
}
