//! Sizes that cannot be: all of them in one error, before anything computes with them.

use super::{ModelConfig, StemLevel, TransformConfig};

/// No width is larger; a config that says so is broken.
const MAX_WIDTH: usize = 1 << 24;
/// Nothing is stacked higher.
const MAX_DEPTH: usize = 1024;
/// No autoencoder has more levels.
const MAX_LEVELS: usize = 16;

/// A key, its number, and the largest that it may be; the least is 1.
type Bound = (&'static str, usize, usize);

impl ModelConfig {
    /// Every size that cannot be.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.unbounded();
        if problems.is_empty() {
            // These compute with the numbers, so the numbers come first.
            problems.extend(self.misfits());
            problems.extend(self.bad_transforms());
            problems.extend(self.bad_focal());
        }
        problems
    }

    /// Numbers beyond all reason: a config that holds them is broken.
    fn unbounded(&self) -> Vec<String> {
        let files = [
            ("llm_config.json", self.llm_bounds()),
            ("vit_config.json", self.vit_bounds()),
            ("config.json", self.bagel_bounds()),
            ("ae_config.json", self.vae_bounds()),
        ];
        let numbers = files.iter().flat_map(|(file, bounds)| {
            let wrong = bounds
                .iter()
                .filter(|(_, n, most)| !(1..=*most).contains(n));
            wrong.map(move |(key, n, most)| format!("{file}: {key}: expected 1 to {most}, got {n}"))
        });
        numbers.collect()
    }

    fn llm_bounds(&self) -> Vec<Bound> {
        let llm = &self.llm;
        vec![
            ("hidden_size", llm.hidden_size, MAX_WIDTH),
            ("intermediate_size", llm.intermediate_size, MAX_WIDTH),
            ("vocab_size", llm.vocab_size, MAX_WIDTH),
            (
                "max_position_embeddings",
                llm.max_position_embeddings,
                MAX_WIDTH,
            ),
            ("num_hidden_layers", llm.num_hidden_layers, MAX_DEPTH),
            ("num_attention_heads", llm.num_attention_heads, MAX_DEPTH),
            ("num_key_value_heads", llm.num_key_value_heads, MAX_DEPTH),
        ]
    }

    fn vit_bounds(&self) -> Vec<Bound> {
        let vit = &self.vit;
        let mut bounds = vec![
            ("hidden_size", vit.hidden_size, MAX_WIDTH),
            ("intermediate_size", vit.intermediate_size, MAX_WIDTH),
            ("num_hidden_layers", vit.num_hidden_layers, MAX_DEPTH),
            ("num_attention_heads", vit.num_attention_heads, MAX_DEPTH),
            ("patch_size", vit.patch_size, MAX_DEPTH),
            // One more than there are, since the least is 1.
            ("stem, levels", vit.stem.len() + 1, MAX_LEVELS),
        ];
        for level in &vit.stem {
            bounds.push(("stem, channels", level.channels, MAX_WIDTH));
            bounds.push(("stem, num_res_blocks", level.num_res_blocks + 1, MAX_DEPTH));
        }
        bounds
    }

    fn bagel_bounds(&self) -> Vec<Bound> {
        vec![("latent_patch_size", self.bagel.latent_patch_size, MAX_DEPTH)]
    }

    fn vae_bounds(&self) -> Vec<Bound> {
        let vae = &self.vae;
        let mut bounds = vec![
            ("ch", vae.ch, MAX_WIDTH),
            ("z_channels", vae.z_channels, MAX_WIDTH),
            ("num_res_blocks", vae.num_res_blocks, MAX_DEPTH),
            ("ch_mult: its length", vae.ch_mult.len(), MAX_LEVELS),
        ];
        bounds.extend(vae.ch_mult.iter().map(|m| ("ch_mult", *m, MAX_DEPTH)));
        if let Some(channels) = &vae.block_out_channels {
            bounds.push(("block_out_channels: its length", channels.len(), MAX_LEVELS));
            bounds.extend(
                channels
                    .iter()
                    .map(|c| ("block_out_channels", *c, MAX_WIDTH)),
            );
        }
        bounds
    }

    /// Numbers that do not fit each other.
    fn misfits(&self) -> Vec<String> {
        let (llm, vit) = (&self.llm, &self.vit);
        let mut problems = Vec::new();
        let mut must_divide = |file: &str, (whole, n): (&str, usize), (part, d): (&str, usize)| {
            if !n.is_multiple_of(d) {
                problems.push(format!(
                    "{file}: {whole} {n} must be a multiple of {part} {d}"
                ));
            }
        };
        let (heads, file) = ("num_attention_heads", "llm_config.json");
        let llm_heads = (heads, llm.num_attention_heads);
        must_divide(file, ("hidden_size", llm.hidden_size), llm_heads);
        must_divide(
            file,
            llm_heads,
            ("num_key_value_heads", llm.num_key_value_heads),
        );
        must_divide(
            file,
            ("the head width", llm.head_dim()),
            ("two halves of rope", 2),
        );
        must_divide(
            file,
            ("hidden_size", llm.hidden_size),
            ("four parts of a position", 4),
        );
        let vit_heads = (heads, vit.num_attention_heads);
        must_divide(
            "vit_config.json",
            ("hidden_size", vit.hidden_size),
            vit_heads,
        );
        if vit.num_hidden_layers < 2 {
            problems.push("vit_config.json: num_hidden_layers: expected at least 2 (the last is not used), got 1".into());
        }
        problems.extend(self.stem_misfits());
        problems
    }

    fn stem_misfits(&self) -> Vec<String> {
        let (stem, side) = (&self.vit.stem, self.vit.patch_size);
        let mut problems = Vec::new();
        let halved = 1usize << (stem.len() + 1);
        if !stem.is_empty() && side != halved {
            problems.push(format!(
                "vit_config.json: stem: expected patch_size {halved}, of as many halvings and one more, got {side}"
            ));
        }
        for level in stem {
            let (c, groups) = (level.channels, StemLevel::NORM_GROUPS);
            if !c.is_multiple_of(groups) {
                problems.push(format!(
                    "vit_config.json: stem: expected channels that are a multiple of {groups}, got {c}"
                ));
            }
        }
        problems
    }

    fn bad_focal(&self) -> Option<String> {
        let share = self.depth.canonical_focal?;
        (!(0.1..=10.0).contains(&share))
            .then(|| format!("depth_config.json: canonical_focal: expected 0.1 to 10, got {share}"))
    }

    fn bad_transforms(&self) -> Vec<String> {
        let transforms = [
            ("vae", &self.preprocessor.vae, self.latent_downsample()),
            ("vit", &self.preprocessor.vit, self.vit.patch_size),
        ];
        let fits = |t: &TransformConfig, side: usize| {
            t.image_stride > 0
                && (t.image_stride as usize).is_multiple_of(side)
                && t.min_image_size > 0
                && t.max_image_size >= t.image_stride
        };
        let wrong = transforms
            .into_iter()
            .filter(|(_, t, side)| !fits(t, *side));
        wrong
            .map(|(name, t, side)| {
                format!(
                    "preprocessor_config.json: {name}: image_stride {} must be a multiple of {side}, \
                     max_image_size {} at least that, min_image_size {} at least 1",
                    t.image_stride, t.max_image_size, t.min_image_size
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_numbers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let llm = r#"{"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 1000000000000,
            "num_attention_heads": 4, "num_key_value_heads": 3, "vocab_size": 448, "rope_theta": 1e6, "rms_norm_eps": 1e-6}"#;
        write("llm_config.json", llm);
        let vit = r#"{"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 0,
            "patch_size": 14}"#;
        write("vit_config.json", vit);
        let error = ModelConfig::load(dir.path()).unwrap_err();
        for part in [
            "num_hidden_layers: expected 1 to 1024, got 1000000000000",
            "num_attention_heads: expected 1",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let vit = r#"{"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
            "patch_size": 16, "stem": [{"channels": 8}, {"channels": 20}]}"#;
        write("vit_config.json", vit);
        write("llm_config.json", &llm.replace("1000000000000", "4"));
        let error = ModelConfig::load(dir.path()).unwrap_err();
        for part in ["expected patch_size 8", "a multiple of 8, got 20"] {
            assert!(error.contains(part), "{error}");
        }
        write("vit_config.json", "{");
        std::fs::remove_file(dir.path().join("llm_config.json")).unwrap();
        let error = ModelConfig::load(dir.path()).unwrap_err();
        assert!(
            error.contains("llm_config.json") && error.contains("vit_config.json"),
            "{error}"
        );
    }
}
