//! Rows of supervised fine-tuning: a conversation with images inside.
//!
//! `interleaved_reason` is a list of `{"type": "text" | "image", "value": …, "need_loss": "true" | "false"}`; an
//! image's value is a PNG or JPEG in base64. Only texts have a loss; what an image says about it is ignored.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooper_imaging::decode_rgb;
use cooper_model::Result;
use cooper_model::engine::Views;
use cooper_model::reasoning::Prompts;
use image::RgbImage;
use serde_json::Value;

use super::row::{Row, kind};
use crate::training::sample::{Part, Sample};

const KEY: &str = "interleaved_reason";

/// The system prompt, and the row's items in their order; `generated` is how images behind the model's first text
/// are read.
pub(super) fn sample(row: &Row, prompts: &Prompts, generated: Views) -> Result<Sample> {
    let Some(Value::Array(items)) = row.values.get(KEY) else {
        let why = format!("expected a list, got {}", kind(row.values.get(KEY)));
        return Err(row.wrong(KEY, why));
    };
    let mut trunk = vec![Part::prompt(&prompts.interleave_system)];
    let mut has_model_text = false;
    for (i, item) in items.iter().enumerate() {
        let item = Item { row, i, item };
        match item.text("type")? {
            "text" if item.needs_loss()? => {
                has_model_text = true;
                trunk.push(Part::model(item.text("value")?));
            }
            "text" => trunk.push(Part::prompt(item.text("value")?)),
            "image" => {
                let views = if has_model_text {
                    generated
                } else {
                    Views::VaeAndVit
                };
                trunk.push(Part::read(&Arc::new(item.image()?), views));
            }
            other => {
                return Err(item.wrong("type", format!("expected text or image, got `{other}`")));
            }
        }
    }
    if !has_model_text {
        return Err(row.wrong(KEY, "expected a text with need_loss \"true\", got none"));
    }
    Ok(Sample {
        trunk,
        branches: Vec::new(),
    })
}

/// One item of the list.
struct Item<'a> {
    row: &'a Row<'a>,
    i: usize,
    item: &'a Value,
}

impl<'a> Item<'a> {
    fn wrong(&self, key: &str, why: impl Into<String>) -> cooper_model::Error {
        self.row.wrong(&format!("{KEY}[{}].{key}", self.i), why)
    }

    fn text(&self, key: &str) -> Result<&'a str> {
        let value = self.item.get(key);
        let text = value.and_then(Value::as_str);
        text.ok_or_else(|| self.wrong(key, format!("expected a text, got {}", kind(value))))
    }

    fn needs_loss(&self) -> Result<bool> {
        match self.text("need_loss")? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => {
                let why = format!("expected \"true\" or \"false\", got `{other}`");
                Err(self.wrong("need_loss", why))
            }
        }
    }

    fn image(&self) -> Result<RgbImage> {
        let bytes = STANDARD.decode(self.text("value")?.trim());
        let bytes =
            bytes.map_err(|e| self.wrong("value", format!("expected an image in base64: {e}")))?;
        decode_rgb(&bytes, "image").map_err(|e| self.wrong("value", e.to_string()))
    }
}
