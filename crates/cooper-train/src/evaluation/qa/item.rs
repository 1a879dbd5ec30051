//! A question with its true answer, and sets of them.

use std::path::{Path, PathBuf};

use cooper_imaging::load_rgb;
use cooper_model::reasoning::{LengthUnit, parse_length_cm};
use cooper_model::{Error, Result};
use image::RgbImage;

use super::{jsonl, scenes, tsv};
use crate::evaluation::files::Broken;
use crate::evaluation::scene_set::SceneSet;

/// What an answer has to be, by which it is read and scored.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerForm {
    /// A letter from A on; the choices' texts, if they are known.
    Choice(Vec<String>),
    /// Yes or no.
    YesNo,
    /// A whole number, to be met exactly.
    Integer(f64),
    /// A number, scored by mean relative accuracy.
    Number(f64),
    /// A length.
    Length {
        /// The true one.
        cm: f64,
        /// What a number without a unit is taken to be in.
        unit: LengthUnit,
    },
    /// Words, to be met exactly but for case, articles and punctuation at the ends.
    Text,
}

/// A true answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// As it stands in the data; a letter if there are choices.
    pub text: String,
    /// What an answer has to be.
    pub form: AnswerForm,
}

/// A question about an image.
#[derive(Clone, Debug, PartialEq)]
pub struct QaItem {
    /// What it is called in reports.
    pub name: String,
    /// Which of the set's images it is about.
    pub image_idx: usize,
    /// As it is asked.
    pub question: String,
    /// What it is about; tables have a row for each.
    pub kind: String,
    /// The true answer.
    pub truth: Truth,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageRef {
    /// A PNG or JPEG.
    File(PathBuf),
    /// In base64 in the row of a table that begins at this byte.
    Row(u64),
    /// A scene's number.
    Scene(usize),
}

/// Questions, and the images that they are about.
#[derive(Clone, Debug)]
pub struct QaSet {
    /// In order.
    pub items: Vec<QaItem>,
    /// Loaded when they are asked for.
    pub images: Vec<ImageRef>,
    /// Rows that are no questions.
    pub broken: Vec<Broken>,
    pub(super) store: Store,
}

/// What images are loaded from besides their own files.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Files,
    Table(PathBuf),
    Scenes(Box<SceneSet>),
}

impl QaSet {
    /// Rows of a table: VLMEvalKit's if its name ends in `.tsv`, else JSON lines.
    ///
    /// Images that are named by a path are looked for in `folder`, else beside the table.
    ///
    /// # Errors
    /// If the table cannot be read or has no column that could hold questions.
    pub fn table(path: &Path, folder: Option<&Path>) -> Result<Self> {
        let ending = path.extension().unwrap_or_default();
        if ending.eq_ignore_ascii_case("tsv") {
            tsv::read(path, folder)
        } else {
            jsonl::read(path, folder)
        }
    }

    /// At most `per_scene` questions about each scene; the same ones every time.
    pub fn scenes(scenes: SceneSet, per_scene: usize) -> Self {
        scenes::generate(scenes, per_scene)
    }

    /// Ask every question in the words of `template`, where `{question}` stands for it.
    pub fn reworded(mut self, template: &str) -> Self {
        for item in &mut self.items {
            item.question = template.replace("{question}", &item.question);
        }
        self
    }

    /// Load image `i`.
    ///
    /// # Errors
    /// About the image; [`Error::Internal`] if there is no such image.
    pub fn image(&self, i: usize) -> Result<RgbImage> {
        let missing = || Error::Internal(format!("there is no image {i}"));
        match (self.images.get(i).ok_or_else(missing)?, &self.store) {
            (ImageRef::File(path), _) => Ok(load_rgb(path)?),
            (ImageRef::Row(at), Store::Table(path)) => tsv::image(path, *at),
            (ImageRef::Scene(index), Store::Scenes(set)) => Ok(set.scene(*index).image),
            _ => Err(missing()),
        }
    }
}

/// What a row says about its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    pub answer: String,
    pub choices: Vec<String>,
    pub value: Option<f64>,
    pub unit: Option<String>,
    /// The answer's form by name, ours or SIBench's.
    pub form: Option<String>,
}

impl Truth {
    /// Find out what an answer has to be: by the form's name, else by choices, unit and value, else by the answer.
    pub(super) fn new(hints: Hints) -> std::result::Result<Self, String> {
        let text = hints.answer.trim().to_owned();
        let unit = hints.unit.as_deref().filter(|unit| !unit.is_empty());
        let number = hints.value.or_else(|| text.parse().ok());
        let length = || {
            let unit = match unit {
                Some(unit) => LengthUnit::parse(unit),
                None => LengthUnit::ending(&text),
            }?;
            let cm = match hints.value {
                Some(value) => value * unit.cm(),
                None => parse_length_cm(&text, unit)?,
            };
            (cm > 0.0).then_some(AnswerForm::Length { cm, unit })
        };
        let need_number = || number.ok_or_else(|| format!("expected a number, got {text:?}"));
        let form = match hints.form.as_deref().map(str::to_lowercase).as_deref() {
            Some("choice" | "mcq") => AnswerForm::Choice(hints.choices.clone()),
            Some("yes_no" | "yn") => AnswerForm::YesNo,
            Some("integer" | "number_int") => AnswerForm::Integer(need_number()?),
            Some("number") => AnswerForm::Number(need_number()?),
            Some("length") => length().ok_or_else(|| format!("expected a length, got {text:?}"))?,
            Some("text") => AnswerForm::Text,
            Some(other) => {
                return Err(format!(
                    "expected choice, yes_no, integer, number, length or text, got {other:?}"
                ));
            }
            None if !hints.choices.is_empty() => AnswerForm::Choice(hints.choices.clone()),
            None => match (length(), number) {
                (Some(length), _) => length,
                // What has a unit is measured, not counted.
                (None, Some(number)) if unit.is_some() => AnswerForm::Number(number),
                (None, Some(number)) => of_number(number, &text),
                (None, None) => of_words(&text),
            },
        };
        Self::checked(text, form)
    }

    fn checked(text: String, form: AnswerForm) -> std::result::Result<Self, String> {
        if text.is_empty() {
            return Err("expected an answer, got none".into());
        }
        let text = match &form {
            AnswerForm::Choice(choices) => letter(&text, choices)
                .ok_or_else(|| format!("expected the letter of a choice, got {text:?}"))?
                .to_string(),
            AnswerForm::YesNo => {
                let word = text.to_lowercase();
                let word = word.trim_end_matches('.');
                if !["yes", "no"].contains(&word) {
                    return Err(format!("expected yes or no, got {text:?}"));
                }
                word.to_owned()
            }
            _ => text,
        };
        Ok(Self { text, form })
    }
}

fn of_number(number: f64, text: &str) -> AnswerForm {
    // `3` is counted, `3.0` is measured.
    if number.fract() == 0.0 && !text.contains('.') {
        AnswerForm::Integer(number)
    } else {
        AnswerForm::Number(number)
    }
}

fn of_words(text: &str) -> AnswerForm {
    match text.to_lowercase().trim_end_matches('.') {
        "yes" | "no" => AnswerForm::YesNo,
        _ => AnswerForm::Text,
    }
}

/// The letter that an answer in the data names: itself, or that of the choice with the same words.
fn letter(text: &str, choices: &[String]) -> Option<char> {
    let bare = text.trim_matches(['(', ')', '.', ':', ' ']);
    let mut chars = bare.chars();
    if let (Some(letter), None) = (chars.next(), chars.next()) {
        let letter = letter.to_ascii_uppercase();
        let n = choices.len();
        let known = letter.is_ascii_uppercase() && (n == 0 || usize::from(letter as u8 - b'A') < n);
        if known {
            return Some(letter);
        }
    }
    let position = choices.iter().position(|choice| choice.trim() == text)?;
    u8::try_from(position)
        .ok()
        .filter(|i| *i < 26)
        .map(|i| char::from(b'A' + i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(answer: &str, form: Option<&str>) -> std::result::Result<Truth, String> {
        Truth::new(Hints {
            answer: answer.into(),
            form: form.map(str::to_owned),
            ..Hints::default()
        })
    }

    #[test]
    fn forms_follow_from_answers() {
        for (answer, form) in [
            ("Yes", AnswerForm::YesNo),
            ("no.", AnswerForm::YesNo),
            ("3", AnswerForm::Integer(3.0)),
            ("3.0", AnswerForm::Number(3.0)),
            ("the red box", AnswerForm::Text),
            (
                "2.5 m",
                AnswerForm::Length {
                    cm: 250.0,
                    unit: LengthUnit::Meter,
                },
            ),
        ] {
            assert_eq!(truth(answer, None).unwrap().form, form, "{answer}");
        }
    }

    #[test]
    fn names_of_forms_are_ours_and_sibenchs() {
        assert_eq!(truth("b", Some("MCQ")).unwrap().text, "B");
        assert_eq!(truth("Yes", Some("YN")).unwrap().text, "yes");
        let number = |form| truth("4", Some(form)).unwrap().form;
        assert_eq!(number("Number_Int"), AnswerForm::Integer(4.0));
        assert_eq!(number("Number"), AnswerForm::Number(4.0));
        for (answer, form, part) in [
            ("maybe", "YN", "expected yes or no"),
            ("four", "Number", "expected a number"),
            ("3 apples", "length", "expected a length"),
            ("BC", "choice", "the letter of a choice"),
            ("x", "essay", "got \"essay\""),
            ("", "text", "expected an answer, got none"),
        ] {
            let why = truth(answer, Some(form)).unwrap_err();
            assert!(why.contains(part), "{part:?} is not in: {why}");
        }
    }

    #[test]
    fn choices_may_be_named_by_their_words() {
        let with = |answer: &str| {
            Truth::new(Hints {
                answer: answer.into(),
                choices: vec!["red".into(), "blue".into()],
                ..Hints::default()
            })
        };
        assert_eq!(with("(b)").unwrap().text, "B");
        assert_eq!(with("blue").unwrap().text, "B");
        assert!(with("C").is_err());
    }

    #[test]
    fn units_make_lengths_and_other_units_numbers() {
        let with = |value, unit: &str| {
            Truth::new(Hints {
                answer: "about that".into(),
                value: Some(value),
                unit: Some(unit.into()),
                ..Hints::default()
            })
        };
        let cm = |truth: Truth| match truth.form {
            AnswerForm::Length { cm, .. } => Some(cm),
            _ => None,
        };
        assert_eq!(cm(with(2.0, "feet").unwrap()), Some(60.96));
        assert_eq!(with(2.5, "kg").unwrap().form, AnswerForm::Number(2.5));
    }
}
