//! Questions as JSON lines.

use std::path::{Path, PathBuf};

use cooper_model::Result;
use cooper_model::reasoning::answers::{Truth, TruthHints};
use serde::Deserialize;
use serde_json::Value;

use super::item::{ImageRef, QaItem, QaSet, Store};
use crate::evaluation::files::{Broken, folder_of, read_json_lines};

/// A row; keys that are not listed are ignored.
#[derive(Deserialize)]
struct Row {
    #[serde(alias = "image", alias = "rgb_image")]
    image: PathBuf,
    question: String,
    answer: Value,
    #[serde(alias = "category")]
    kind: Option<String>,
    #[serde(default)]
    choices: Vec<String>,
    value: Option<f64>,
    unit: Option<String>,
    /// The answer's form: choice, yes_no, integer, number, length or text.
    #[serde(rename = "type")]
    form: Option<String>,
}

/// See [`QaSet::table`].
pub(super) fn read(path: &Path, folder: Option<&Path>) -> Result<QaSet> {
    let (rows, mut broken) = read_json_lines::<Row>(path)?;
    let folder = folder.map_or_else(|| folder_of(path), Path::to_path_buf);
    let mut images = Images::default();
    let mut items = Vec::new();
    for (name, row) in rows {
        let image = ImageRef::File(folder.join(&row.image));
        match item(name.clone(), row) {
            Ok(item) => items.push(QaItem {
                image_idx: images.number(image),
                ..item
            }),
            Err(why) => broken.push(Broken { name, why }),
        }
    }
    Ok(QaSet {
        items,
        images: images.list,
        broken,
        store: Store::Files,
    })
}

/// The row's question, its image still to be numbered.
fn item(name: String, row: Row) -> std::result::Result<QaItem, String> {
    let answer = match row.answer {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => (if yes { "yes" } else { "no" }).into(),
        other => return Err(format!("expected an answer in words, got {other}")),
    };
    if row.question.trim().is_empty() {
        return Err("expected a question, got none".into());
    }
    let question = with_choices(row.question, &row.choices);
    Ok(QaItem {
        name,
        image_idx: 0,
        question,
        kind: row.kind.unwrap_or_else(|| "all".into()),
        truth: Truth::new(TruthHints {
            answer,
            choices: row.choices,
            value: row.value,
            unit: row.unit,
            form: row.form,
        })?,
    })
}

/// Choices that the question does not name already are listed behind it.
fn with_choices(question: String, choices: &[String]) -> String {
    if choices.iter().all(|choice| question.contains(choice)) {
        return question;
    }
    let listed = ('A'..='Z')
        .zip(choices)
        .map(|(letter, choice)| format!(" ({letter}) {choice}"));
    question + &listed.collect::<String>()
}

/// Different images in the order of their first use.
#[derive(Default)]
pub(super) struct Images {
    pub list: Vec<ImageRef>,
    numbers: std::collections::BTreeMap<ImageRef, usize>,
}

impl Images {
    pub fn number(&mut self, image: ImageRef) -> usize {
        let next = self.list.len();
        let number = *self.numbers.entry(image.clone()).or_insert(next);
        if number == next {
            self.list.push(image);
        }
        number
    }
}
