//! Splits of a sample, and which of their tokens attend to which.
//!
//! Source: BAGEL `data/data_utils.py`, `prepare_attention_mask_per_sample`.

use candle_core::{Device, Result, Tensor};

/// Which tokens of a split attend to which. All of them attend to everything before, except noised images and asides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitMode {
    /// A text: each token attends to the ones before it.
    Causal,
    /// An image that is read: all tokens attend to each other.
    Full,
    /// An image that is drawn: all tokens attend to each other, and no other split attends to them.
    Noise,
    /// A text that is not part of the context: each token attends to the ones before it, and no other split to them.
    Aside,
}

/// Which encoder a token comes from, and its place among that encoder's tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Id(usize),
    Vit(usize),
    Latent(usize),
}

/// A token of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) source: Source,
    pub(super) position: u32,
    pub(super) split: usize,
    pub(super) mode: SplitMode,
}

/// (queries, keys): 0 where a token attends to another, −∞ where not. Token i attends to token j if j is not later, or
/// both are in one image; only their own tokens attend to a noised image and an aside. The queries are the last of the
/// keys.
pub(super) fn mask(queries: &[&Token], keys: &[&Token], device: &Device) -> Result<Tensor> {
    let n_before = keys.len() - queries.len();
    let mut cells = Vec::with_capacity(queries.len() * keys.len());
    for (i, query) in queries.iter().enumerate() {
        for (j, key) in keys.iter().enumerate() {
            let same = query.split == key.split;
            let image = matches!(query.mode, SplitMode::Full | SplitMode::Noise);
            let reaches = n_before + i >= j || (same && image);
            let hidden = matches!(key.mode, SplitMode::Noise | SplitMode::Aside) && !same;
            let attends = reaches && !hidden;
            cells.push(if attends { 0.0 } else { f32::NEG_INFINITY });
        }
    }
    Tensor::from_vec(cells, (queries.len(), keys.len()), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(split: usize, mode: SplitMode) -> Token {
        Token {
            source: Source::Id(0),
            position: 0,
            split,
            mode,
        }
    }

    #[track_caller]
    fn check(queries: &[Token], keys: &[Token], expected: &[&str]) {
        let (queries, keys): (Vec<_>, Vec<_>) = (queries.iter().collect(), keys.iter().collect());
        let mask = mask(&queries, &keys, &Device::Cpu).unwrap();
        let rows: Vec<String> = mask
            .to_vec2::<f32>()
            .unwrap()
            .into_iter()
            .map(|row| {
                let cells = row.into_iter();
                cells
                    .map(|cell| if cell == 0.0 { 'x' } else { '.' })
                    .collect()
            })
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_noised_image_is_seen_from_inside_only() {
        use SplitMode::{Causal, Full, Noise};
        let splits = [(Full, 2), (Causal, 2), (Noise, 2), (Causal, 1)];
        let tokens: Vec<Token> = (0..)
            .zip(splits)
            .flat_map(|(i, (mode, n))| std::iter::repeat_n(token(i, mode), n))
            .collect();
        check(
            &tokens,
            &tokens,
            &[
                "xx.....", "xx.....", "xxx....", "xxxx...", "xxxxxx.", "xxxxxx.", "xxxx..x",
            ],
        );
        check(&tokens[6..], &tokens, &["xxxx..x"]);
    }

    #[test]
    fn an_aside_is_causal_and_seen_from_inside_only() {
        use SplitMode::{Aside, Causal};
        let splits = [(0, Causal), (1, Aside), (1, Aside), (2, Causal)];
        let tokens = splits.map(|(split, mode)| token(split, mode));
        check(&tokens, &tokens, &["x...", "xx..", "xxx.", "x..x"]);
    }
}
