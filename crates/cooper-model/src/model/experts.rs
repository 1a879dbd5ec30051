//! The two experts, and tokens sorted by them.
//!
//! From the first layer to the last, an expert's tokens are consecutive rows of one matrix, whatever stands between them
//! in the sequence: layers that treat each token by itself copy nothing. Only attention needs the tokens in their order.
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

/// Consecutive runs of a block's tokens: the expert of each run, and how many tokens it has.
pub type ExpertRouting = [(Expert, usize)];

/// One of each expert.
#[derive(Clone, Debug)]
pub struct PerExpert<T> {
    und: T,
    r#gen: T,
}

/// Each expert's tokens in their order; none where it has no tokens.
pub type ExpertTokens<T = Tensor> = PerExpert<Option<T>>;

impl Expert {
    const ALL: [Self; 2] = [Self::Und, Self::Gen];

    /// What follows the names of its weights in the checkpoint.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Und => "",
            Self::Gen => "_moe_gen",
        }
    }
}

impl<T> PerExpert<T> {
    pub(super) fn from_fn(build: impl Fn(Expert) -> T) -> Self {
        Self {
            und: build(Expert::Und),
            r#gen: build(Expert::Gen),
        }
    }

    /// The same of both.
    ///
    /// # Errors
    /// The first of `build`.
    pub(super) fn try_map<R>(&self, build: impl Fn(&T) -> Result<R>) -> Result<PerExpert<R>> {
        Ok(PerExpert {
            und: build(&self.und)?,
            r#gen: build(&self.r#gen)?,
        })
    }

    /// That of one expert.
    pub fn get(&self, expert: Expert) -> &T {
        match expert {
            Expert::Und => &self.und,
            Expert::Gen => &self.r#gen,
        }
    }

    /// Both.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        Expert::ALL.into_iter().map(|expert| self.get(expert))
    }

    /// Each expert's part applied to its tokens.
    pub(super) fn apply<R>(
        &self,
        tokens: &ExpertTokens,
        apply: impl Fn(&T, &Tensor) -> Result<R>,
    ) -> Result<ExpertTokens<R>> {
        ExpertTokens::try_from_fn(|expert| {
            let tokens = tokens.get(expert).as_ref();
            let done = tokens.map(|tokens| apply(self.get(expert), tokens));
            done.transpose()
        })
    }
}

impl<T> ExpertTokens<T> {
    pub(super) fn try_from_fn(build: impl Fn(Expert) -> Result<Option<T>>) -> Result<Self> {
        Ok(Self {
            und: build(Expert::Und)?,
            r#gen: build(Expert::Gen)?,
        })
    }

    /// Those of one expert.
    ///
    /// # Errors
    /// If it has none.
    pub fn tokens(&self, expert: Expert) -> Result<&T> {
        match self.get(expert) {
            Some(tokens) => Ok(tokens),
            None => bail!("experts: expected tokens of {expert:?}, got none"),
        }
    }
}

impl ExpertTokens {
    /// Runs of tokens (n, c) that follow each other, sorted by expert.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn cat(runs: &[(Expert, &Tensor)]) -> Result<Self> {
        Self::try_from_fn(|expert| {
            let own = runs.iter().filter(|(other, _)| *other == expert);
            let own: Vec<_> = own.map(|(_, tokens)| *tokens).collect();
            (!own.is_empty()).then(|| Tensor::cat(&own, 0)).transpose()
        })
    }

    /// Token by token, `self + other`.
    pub(super) fn add(&self, other: &Self) -> Result<Self> {
        Self::try_from_fn(|expert| match (self.get(expert), other.get(expert)) {
            (Some(xs), Some(ys)) => (xs + ys).map(Some),
            _ => Ok(None),
        })
    }
}

/// The rows of each run among its expert's tokens, for blocks that follow each other: one list for each block.
pub(super) fn expert_rows<'a>(
    routings: impl Iterator<Item = &'a ExpertRouting>,
) -> Vec<Vec<(Expert, Range<usize>)>> {
    let (mut und, mut r#gen) = (0, 0);
    let mut rows = |(expert, n): &(Expert, usize)| {
        let end = match expert {
            Expert::Und => &mut und,
            Expert::Gen => &mut r#gen,
        };
        let start = *end;
        *end += n;
        (*expert, start..*end)
    };
    routings
        .map(|routing| routing.iter().map(&mut rows).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use Expert::{Gen, Und};

    use super::*;

    #[test]
    fn runs_have_their_rows_among_their_experts_tokens() {
        let routings: [&ExpertRouting; 2] =
            [&[(Und, 1), (Gen, 3), (Und, 2)], &[(Gen, 2), (Und, 1)]];
        let expected = [
            vec![(Und, 0..1), (Gen, 0..3), (Und, 1..3)],
            vec![(Gen, 3..5), (Und, 3..4)],
        ];
        assert_eq!(expert_rows(routings.into_iter()), expected);
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
