//! The two experts, and tokens sorted by them.
//!
//! From the first layer to the last an expert's tokens lie behind one another, whatever stands between them in the
//! sequence: what treats each token by itself sees one matrix, and nothing is copied to and fro around it. Only attention
//! wants tokens in their order.
//!
//! Source: BAGEL `modeling/bagel/qwen2_navit.py`, `packed_und_token_indexes` and `packed_vae_token_indexes`.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

/// Which copy of the weights a token uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expert {
    /// Text, image markers and ViT tokens (plain names in the checkpoint).
    Und,
    /// Latent tokens, clean or noisy (`_moe_gen` in the checkpoint).
    Gen,
}

/// Consecutive runs of tokens, each with its expert: how a block of tokens is split.
pub type ExpertRouting = [(Expert, usize)];

/// One of each expert.
#[derive(Clone, Debug)]
pub struct PerExpert<T> {
    und: T,
    r#gen: T,
}

/// What there is of each expert's tokens, in their order; none where it has no tokens.
pub type ExpertTokens<T = Tensor> = PerExpert<Option<T>>;

impl<T> PerExpert<T> {
    /// Build both; `build` gets the suffix of the checkpoint's names.
    pub(super) fn new(build: impl Fn(&str) -> Result<T>) -> Result<Self> {
        Ok(Self {
            und: build("")?,
            r#gen: build("_moe_gen")?,
        })
    }

    pub(super) fn of(&self, expert: Expert) -> &T {
        match expert {
            Expert::Und => &self.und,
            Expert::Gen => &self.r#gen,
        }
    }

    /// Each expert's part on its tokens.
    pub(super) fn on<R>(
        &self,
        tokens: &ExpertTokens,
        apply: impl Fn(&T, &Tensor) -> Result<R>,
    ) -> Result<ExpertTokens<R>> {
        let of = |expert: Expert| {
            let tokens = tokens.of(expert).as_ref();
            let done = tokens.map(|tokens| apply(self.of(expert), tokens));
            done.transpose()
        };
        ExpertTokens::from(of)
    }
}

impl<T> ExpertTokens<T> {
    pub(super) fn from(of: impl Fn(Expert) -> Result<Option<T>>) -> Result<Self> {
        Ok(Self {
            und: of(Expert::Und)?,
            r#gen: of(Expert::Gen)?,
        })
    }

    /// Those of one expert.
    ///
    /// # Errors
    /// If it has none.
    pub fn tokens(&self, expert: Expert) -> Result<&T> {
        match self.of(expert) {
            Some(tokens) => Ok(tokens),
            None => bail!("experts: expected tokens of {expert:?}, got none"),
        }
    }
}

impl ExpertTokens {
    /// Of runs of tokens (n, c) that follow each other.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn cat(runs: &[(Expert, &Tensor)]) -> Result<Self> {
        Self::from(|expert| {
            let own = runs.iter().filter(|(of_run, _)| *of_run == expert);
            let own: Vec<_> = own.map(|(_, tokens)| *tokens).collect();
            (!own.is_empty()).then(|| Tensor::cat(&own, 0)).transpose()
        })
    }

    /// Sums of the same tokens.
    pub(super) fn plus(&self, other: &Self) -> Result<Self> {
        Self::from(|expert| match (self.of(expert), other.of(expert)) {
            (Some(xs), Some(ys)) => (xs + ys).map(Some),
            _ => Ok(None),
        })
    }
}

/// Where the runs of routes that follow each other lie among the tokens of their expert: as many lists as routes.
pub(super) fn places<'a>(
    routings: impl Iterator<Item = &'a ExpertRouting>,
) -> Vec<Vec<(Expert, Range<usize>)>> {
    let (mut und, mut r#gen) = (0, 0);
    let mut place = |(expert, n): &(Expert, usize)| {
        let end = match expert {
            Expert::Und => &mut und,
            Expert::Gen => &mut r#gen,
        };
        let start = *end;
        *end += n;
        (*expert, start..*end)
    };
    routings
        .map(|routing| routing.iter().map(&mut place).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use Expert::{Gen, Und};

    use super::*;

    #[test]
    fn runs_have_their_places_among_their_experts_tokens() {
        let routings: [&ExpertRouting; 2] =
            [&[(Und, 1), (Gen, 3), (Und, 2)], &[(Gen, 2), (Und, 1)]];
        let expected = [
            vec![(Und, 0..1), (Gen, 0..3), (Und, 1..3)],
            vec![(Gen, 3..5), (Und, 3..4)],
        ];
        assert_eq!(places(routings.into_iter()), expected);
    }

    #[test]
    fn an_expert_without_tokens_has_none() {
        let tokens = Tensor::zeros((2, 3), candle_core::DType::F32, &candle_core::Device::Cpu);
        let sorted = ExpertTokens::cat(&[(Und, &tokens.unwrap())]).unwrap();
        assert_eq!(sorted.tokens(Und).unwrap().dims(), [2, 3]);
        let error = sorted.tokens(Gen).unwrap_err().to_string();
        assert!(
            error.contains("expected tokens of Gen, got none"),
            "{error}"
        );
    }
}
