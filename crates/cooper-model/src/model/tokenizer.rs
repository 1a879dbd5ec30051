//! Text to token ids and back: Qwen2's byte-level BPE.
//!
//! A text is encoded either as the reference does, with control tokens recognised, or as plain words
//! (everything that a user typed), where `<|im_end|>` is just ten characters.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Qwen2's pre-tokeniser: contractions, words, single digits, punctuation, line ends, spaces.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The control tokens that the model's protocol needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlTokens {
    /// `<|im_start|>`, opens a text.
    pub im_start: u32,
    /// `<|im_end|>`, closes a text.
    pub im_end: u32,
    /// `<|vision_start|>`, opens an image.
    pub vision_start: u32,
    /// `<|vision_end|>`, closes an image.
    pub vision_end: u32,
}

/// The tokenizer of a model directory.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    with_control: tokenizers::Tokenizer,
    plain: tokenizers::Tokenizer,
    /// The protocol's control tokens.
    pub control: ControlTokens,
    len: usize,
}

impl Tokenizer {
    /// Read `tokenizer.json`, else `vocab.json`, `merges.txt` and `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Weights`] with the file that is missing or wrong, or the control token that is missing.
    pub fn load(dir: &Path) -> Result<Self> {
        let refuse = |why: String| Error::weights(dir, why);
        let mut spec = if dir.join("tokenizer.json").exists() {
            read_json(dir, "tokenizer.json").map_err(refuse)?
        } else {
            released_parts(dir).map_err(refuse)?
        };
        let with_control = build(&spec).map_err(refuse)?;
        spec["added_tokens"] = json!([]);
        let plain = build(&spec).map_err(refuse)?;
        let id = |token: &str| {
            with_control
                .token_to_id(token)
                .ok_or_else(|| refuse(format!("tokenizer: expected the token {token}, got none")))
        };
        let control = ControlTokens {
            im_start: id("<|im_start|>")?,
            im_end: id("<|im_end|>")?,
            vision_start: id("<|vision_start|>")?,
            vision_end: id("<|vision_end|>")?,
        };
        let len = with_control.get_vocab_size(true);
        Ok(Self {
            with_control,
            plain,
            control,
            len,
        })
    }

    /// Tokens that exist; ids from here on are padding of the model's head and are never sampled.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ids of a text of ours or the model's, control tokens recognised.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.with_control, text)
    }

    /// Ids of a text that a user typed: words only, whatever it spells.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the tokenizer fails.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.plain, text)
    }

    /// The text of ids, control tokens written out; broken UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the tokenizer fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.with_control
            .decode(ids, false)
            .map_err(|e| Error::invalid("token ids", e.to_string()))
    }
}

fn ids(tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>> {
    tokenizer
        .encode(text, false)
        .map(|encoding| encoding.get_ids().to_vec())
        .map_err(|e| Error::invalid("text", e.to_string()))
}

fn build(spec: &Value) -> std::result::Result<tokenizers::Tokenizer, String> {
    let bytes = serde_json::to_vec(spec).map_err(|e| e.to_string())?;
    tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| format!("tokenizer: {e}"))
}

fn read(dir: &Path, name: &str) -> std::result::Result<String, String> {
    std::fs::read_to_string(dir.join(name)).map_err(|e| format!("{name}: {e}"))
}

fn read_json(dir: &Path, name: &str) -> std::result::Result<Value, String> {
    serde_json::from_str(&read(dir, name)?).map_err(|e| format!("{name}: {e}"))
}

/// The `tokenizer.json` that the released parts amount to.
fn released_parts(dir: &Path) -> std::result::Result<Value, String> {
    let vocab = read_json(dir, "vocab.json")?;
    let merges: Vec<String> = read(dir, "merges.txt")?
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(str::to_string)
        .collect();
    let config = read_json(dir, "tokenizer_config.json")?;
    let added = config["added_tokens_decoder"]
        .as_object()
        .ok_or("tokenizer_config.json: expected an object `added_tokens_decoder`, got none")?;
    let mut added: Vec<(u32, Value)> = added
        .iter()
        .map(|(id, token)| {
            let id: u32 = id
                .parse()
                .map_err(|_| format!("tokenizer_config.json: expected a token id, got `{id}`"))?;
            let mut token = token.clone();
            token["id"] = json!(id);
            Ok((id, token))
        })
        .collect::<std::result::Result<_, String>>()?;
    added.sort_by_key(|(id, _)| *id);
    let added: Vec<Value> = added.into_iter().map(|(_, token)| token).collect();
    let mut spec = byte_level_bpe();
    spec["added_tokens"] = json!(added);
    spec["model"]["vocab"] = vocab;
    spec["model"]["merges"] = json!(merges);
    Ok(spec)
}

/// A `tokenizer.json` without words: Qwen2's byte-level BPE, whose digits stay single.
pub fn byte_level_bpe() -> Value {
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": false},
            byte_level,
        ]},
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {}, "merges": [],
        },
    })
}
