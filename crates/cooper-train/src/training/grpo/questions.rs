//! Questions to practise on: about generated scenes, or rows of a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_imaging::load_rgb;
use cooper_model::reasoning::answers::Truth;
use cooper_model::{Error, Result};
use cooper_scenes::{Question, QuestionKind, Scene, SceneConfig, Split};
use image::RgbImage;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_lines::{JsonLines, folder_of};
use crate::scene_truth::scene_truth;
use crate::training::draws::row_of_epoch;

/// Scenes that are looked through for a question of a wanted kind.
const TRIES: u64 = 100;
/// Between their numbers, so that they are not another step's.
const STRIDE: u64 = 1 << 40;

/// What maps are known to do for a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flag {
    /// They help.
    Positive,
    /// They hurt, or cost time for nothing.
    Negative,
    /// Neither.
    #[default]
    Boundary,
}

/// A question that is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it is about.
    pub image: Arc<RgbImage>,
    /// The words.
    pub question: String,
    /// Its kind, for the log.
    pub kind: String,
    /// What answers are compared with.
    pub truth: Truth,
    /// What maps do for it.
    pub flag: Flag,
}

/// Where questions come from, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionSource {
    /// Its share of the questions, relative to the other sources' weights, above 0.
    #[serde(default = "one")]
    pub weight: f64,
    /// Questions about generated scenes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenes: Option<SceneQuestions>,
    /// Questions in rows of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<QuestionRows>,
}

/// A file of lines `{"image": …, "question": …, "answer": …, "kind": …, "flag": …}`; the last two may be left out,
/// other keys are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionRows {
    /// The file. Required.
    pub file: PathBuf,
    /// The folder that paths in rows start from; by default the file's own.
    #[serde(default)]
    pub root: Option<PathBuf>,
}

fn one() -> f64 {
    1.0
}

/// Questions about generated scenes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SceneQuestions {
    /// The ranges of the scenes.
    pub scenes: SceneConfig,
    /// The first scene's number; another one gives a run other scenes.
    pub first: u64,
    /// The kinds of questions, equally often where a scene has them; empty: all.
    pub kinds: Vec<QuestionKind>,
    /// What maps do, by kind. By default they help where a question has a tool, hurt for `left_right`, and do neither
    /// otherwise.
    pub flags: BTreeMap<QuestionKind, Flag>,
}

impl SceneQuestions {
    /// Question number `n`; `rng` decides what is asked.
    fn ask(&self, n: u64, rng: &mut StdRng) -> Result<Asked> {
        for attempt in 0..TRIES {
            let index = self.first + n + attempt * STRIDE;
            let scene = Scene::generate(&self.scenes, Split::Train, index);
            if let Some(question) = self.choose(&scene, rng) {
                return Ok(self.asked(scene, question));
            }
        }
        let why = format!(
            "expected scenes with questions of the kinds {:?}, got {TRIES} without",
            self.kinds
        );
        Err(Error::invalid("data.scenes.kinds", why))
    }

    /// A question of a kind that is chosen first.
    fn choose(&self, scene: &Scene, rng: &mut StdRng) -> Option<Question> {
        let questions = scene.questions(rng);
        let kinds: &[QuestionKind] = match self.kinds.as_slice() {
            [] => &QuestionKind::OF_SCENES,
            kinds => kinds,
        };
        let there = |kind: &&QuestionKind| questions.iter().any(|q| q.kind == **kind);
        let kinds: Vec<&QuestionKind> = kinds.iter().filter(there).collect();
        let kind = **kinds.choose(rng)?;
        questions.into_iter().find(|question| question.kind == kind)
    }

    fn asked(&self, scene: Scene, question: Question) -> Asked {
        let flag = self.flags.get(&question.kind).copied();
        Asked {
            image: Arc::new(scene.image),
            question: question.text.clone(),
            kind: question.kind.name().into(),
            flag: flag.unwrap_or_else(|| usual_flag(&question)),
            truth: scene_truth(&question),
        }
    }
}

fn usual_flag(question: &Question) -> Flag {
    match (question.tool(), question.kind) {
        (Some(_), _) => Flag::Positive,
        (None, QuestionKind::LeftRight) => Flag::Negative,
        (None, _) => Flag::Boundary,
    }
}

/// A row of a file, as it is written.
#[derive(Clone, Debug, Deserialize)]
struct RawRow {
    image: PathBuf,
    question: String,
    answer: Words,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    flag: Flag,
}

/// An answer may be written as a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    Number(serde_json::Number),
}

/// A row of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawRow")]
struct Row {
    image: PathBuf,
    question: String,
    kind: String,
    truth: Truth,
    flag: Flag,
}

impl TryFrom<RawRow> for Row {
    type Error = String;

    fn try_from(row: RawRow) -> std::result::Result<Self, String> {
        Ok(Self {
            truth: Truth::of_answer(match row.answer {
                Words::Text(text) => text,
                Words::Number(number) => number.to_string(),
            })?,
            image: row.image,
            question: row.question,
            kind: row.kind.unwrap_or_else(|| "all".into()),
            flag: row.flag,
        })
    }
}

impl Row {
    fn asked(&self, root: &Path) -> Result<Asked> {
        Ok(Asked {
            image: Arc::new(load_rgb(&root.join(&self.image))?),
            question: self.question.clone(),
            kind: self.kind.clone(),
            truth: self.truth.clone(),
            flag: self.flag,
        })
    }
}

/// A source that is ready to be asked.
#[derive(Debug)]
enum Ready<'c> {
    Scenes(&'c SceneQuestions),
    Rows { rows: Vec<Row>, root: PathBuf },
}

/// A mixture of sources.
#[derive(Debug)]
pub(super) struct Questions<'c> {
    sources: Vec<(f64, Ready<'c>)>,
    seed: u64,
}

impl<'c> Questions<'c> {
    /// Read what has to be read; `seed` shuffles rows.
    pub fn new(sources: &'c [QuestionSource], seed: u64) -> Result<Self> {
        let ready = sources
            .iter()
            .map(|source| Ok((source.weight, source.ready()?)));
        let sources: Vec<(f64, Ready)> = ready.collect::<Result<_>>()?;
        if sources.is_empty() {
            return Err(Error::invalid(
                "data",
                "expected a source of questions, got none",
            ));
        }
        Ok(Self { sources, seed })
    }

    /// Question number `n` of the run. Every row of a file comes once in as many questions as there are rows, in
    /// another order each time, as far as it is this source that is asked.
    pub fn ask(&self, n: u64, rng: &mut StdRng) -> Result<Asked> {
        let chosen = self.sources.choose_weighted(rng, |(weight, _)| *weight);
        let (_, source) = chosen.map_err(|e| Error::invalid("data.weight", e.to_string()))?;
        match source {
            Ready::Scenes(scenes) => scenes.ask(n, rng),
            Ready::Rows { rows, root } => rows[row_of_epoch(n, rows.len(), self.seed)].asked(root),
        }
    }
}

impl QuestionSource {
    fn ready(&self) -> Result<Ready<'_>> {
        if !(self.weight.is_finite() && self.weight > 0.0) {
            let why = format!("expected a weight above 0, got {}", self.weight);
            return Err(Error::invalid("data.weight", why));
        }
        match (&self.scenes, &self.jsonl) {
            (Some(scenes), None) => {
                scenes.scenes.check()?;
                Ok(Ready::Scenes(scenes))
            }
            (None, Some(QuestionRows { file, root })) => Ok(Ready::Rows {
                rows: rows(file)?,
                root: root.clone().unwrap_or_else(|| folder_of(file)),
            }),
            _ => Err(Error::invalid(
                "data",
                "expected either scenes or jsonl in a source, got both or neither",
            )),
        }
    }
}

fn rows(file: &Path) -> Result<Vec<Row>> {
    let lines = JsonLines::open(file)?;
    if lines.len() == 0 {
        let what = file.display().to_string();
        return Err(Error::invalid(what, "expected questions, got none"));
    }
    (0..lines.len()).map(|i| lines.read(i)).collect()
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::answers::{AnswerForm, LengthRule};
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn words_are_compared_without_case_and_brackets() {
        let is_right = |truth: &str, given: &str| {
            let truth = Truth::of_answer(truth).unwrap();
            truth.is_right(given, LengthRule::default())
        };
        for (given, expected) in [
            ("a", true),
            (" (A) ", true),
            ("B", false),
            ("(A) red", false),
            ("", false),
        ] {
            assert_eq!(is_right("(A)", given), expected, "{given:?}");
        }
        assert!(is_right("Red box", "red box"));
        let nothing = Truth {
            text: String::new(),
            form: AnswerForm::Text,
        };
        assert!(!nothing.is_right(" ", LengthRule::default()));
    }

    #[test]
    fn scenes_ask_for_the_kinds_that_are_wanted() {
        let questions = SceneQuestions {
            kinds: vec![QuestionKind::LeftRight, QuestionKind::Count],
            flags: [(QuestionKind::Count, Flag::Negative)].into(),
            ..SceneQuestions::default()
        };
        let mut n_counts = 0;
        for n in 0..40 {
            let mut rng = StdRng::seed_from_u64(n);
            let asked = questions.ask(n, &mut rng).unwrap();
            assert_eq!(asked.flag, Flag::Negative);
            let truth = &asked.truth;
            assert!(truth.is_right(&truth.text, LengthRule::default()));
            let kind = questions.kinds.iter().find(|k| k.name() == asked.kind);
            n_counts += usize::from(*kind.unwrap() == QuestionKind::Count);
        }
        assert!((10..=30).contains(&n_counts), "{n_counts}");
    }

    #[test]
    fn a_broken_row_is_told_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.jsonl");
        let row = r#"{"image": "a.png", "question": "?", "answer": 3, "flag": "negative"}"#;
        std::fs::write(&file, format!("{row}\n\n{row}\n")).unwrap();
        let read = rows(&file).unwrap();
        assert_eq!((read.len(), read[0].flag), (2, Flag::Negative));
        let source = QuestionSource {
            weight: 1.0,
            scenes: None,
            jsonl: Some(QuestionRows {
                file: file.clone(),
                root: None,
            }),
        };
        let sources = [source];
        let questions = Questions::new(&sources, 0).unwrap();
        let error = questions.ask(0, &mut StdRng::seed_from_u64(0)).unwrap_err();
        assert!(error.to_string().contains("a.png"), "{error}");
        std::fs::write(&file, format!("{row}\n{{\"image\": 1}}\n")).unwrap();
        let error = rows(&file).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:2: "), "{error}");
        std::fs::write(&file, "").unwrap();
        assert!(rows(&file).is_err());
    }
}
