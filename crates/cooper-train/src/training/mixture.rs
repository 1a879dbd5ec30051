//! Where supervised samples come from: sources by weight.

use cooper_imaging::ResizeRule;
use cooper_model::reasoning::Prompts;
use cooper_model::{Error, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{check_depth_range, check_kept_size, check_weights};
use super::dense::DenseTarget;
use super::dense_tasks::{DenseTasks, OpenDenseTasks};
use super::jsonl::{JsonlRows, RowSource};
use super::sample::Sample;
use super::scene_source::SceneTasks;

/// A source of samples and its weight among the others: `scenes`, `dense` or `jsonl`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Weighted {
    /// Its share of the samples, relative to the other sources' weights.
    pub weight: f64,
    /// What it is.
    pub source: Source,
}

/// Where samples come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Generated scenes.
    Scenes(Box<SceneTasks>),
    /// Images with dense truth.
    Dense(Box<DenseTasks>),
    /// Rows of a file.
    Jsonl(JsonlRows),
}

/// [`Weighted`] as it is written: `{weight, scenes: …}`, `{weight, dense: …}` or `{weight, jsonl: …}`.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// Its share of the samples, relative to the other sources' weights, from 0.
    #[serde(default = "one")]
    weight: f64,
    /// Samples of generated scenes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scenes: Option<SceneTasks>,
    /// Samples of images with dense truth, for example RGB-D files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dense: Option<DenseTasks>,
    /// Samples of a file's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jsonl: Option<JsonlRows>,
}

fn one() -> f64 {
    1.0
}

impl TryFrom<Keys> for Weighted {
    type Error = &'static str;

    fn try_from(keys: Keys) -> std::result::Result<Self, &'static str> {
        let source = match (keys.scenes, keys.dense, keys.jsonl) {
            (Some(scenes), None, None) => Source::Scenes(Box::new(scenes)),
            (None, Some(dense), None) => Source::Dense(Box::new(dense)),
            (None, None, Some(jsonl)) => Source::Jsonl(jsonl),
            (None, None, None) => return Err("expected `scenes`, `dense` or `jsonl`, got none"),
            _ => return Err("expected `scenes`, `dense` or `jsonl`, got more than one"),
        };
        Ok(Self {
            weight: keys.weight,
            source,
        })
    }
}

impl From<Weighted> for Keys {
    fn from(Weighted { weight, source }: Weighted) -> Self {
        let mut keys = Self {
            weight,
            scenes: None,
            dense: None,
            jsonl: None,
        };
        match source {
            Source::Scenes(scenes) => keys.scenes = Some(*scenes),
            Source::Dense(dense) => keys.dense = Some(*dense),
            Source::Jsonl(jsonl) => keys.jsonl = Some(jsonl),
        }
        keys
    }
}

/// Sources that are drawn by weight.
#[derive(Debug)]
pub struct Mixture<'c> {
    sources: Vec<(f64, OpenSource<'c>)>,
    prompts: Prompts,
}

#[derive(Debug)]
enum OpenSource<'c> {
    Scenes(&'c SceneTasks),
    Dense(OpenDenseTasks<'c>),
    Jsonl(RowSource<'c>),
}

impl<'c> Mixture<'c> {
    /// Check and open all sources. `rule` sizes what is drawn, `target` says what dense truth must be like, `seed`
    /// shuffles rows.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the first thing that cannot be used; [`Error::Io`] about a file of rows.
    pub fn open(
        data: &'c [Weighted],
        prompts: Prompts,
        (rule, target): (ResizeRule, &DenseTarget),
        seed: u64,
    ) -> Result<Self> {
        check_weights("data", data.iter().map(|source| source.weight))?;
        let mut sources = Vec::with_capacity(data.len());
        for Weighted { weight, source } in data {
            let open = match source {
                Source::Scenes(scenes) => {
                    check_scenes(scenes, rule)?;
                    OpenSource::Scenes(scenes)
                }
                Source::Dense(dense) => OpenSource::Dense(dense.open(target, rule, seed)?),
                Source::Jsonl(rows) => {
                    OpenSource::Jsonl(RowSource::open(rows, &prompts, rule, seed)?)
                }
            };
            sources.push((*weight, open));
        }
        Ok(Self { sources, prompts })
    }

    /// What the sources are called in the log, those of images with dense truth one by one.
    pub(super) fn names(&self) -> Vec<String> {
        let sources = self.sources.iter().enumerate();
        let names = sources.flat_map(|(place, (_, source))| match source {
            OpenSource::Scenes(_) => vec![format!("{place}_scenes")],
            OpenSource::Jsonl(_) => vec![format!("{place}_jsonl")],
            OpenSource::Dense(dense) => {
                let names = dense.names();
                names.map(|name| format!("{place}_dense_{name}")).collect()
            }
        });
        names.collect()
    }

    /// Sample number `n` of the run, and the place of its source among `names`; `rng` draws the source, and what
    /// the source leaves open.
    ///
    /// # Errors
    /// If a row cannot be used.
    pub fn sample(&self, n: u64, rng: &mut StdRng) -> Result<(usize, Sample)> {
        let places: Vec<usize> = (0..self.sources.len()).collect();
        let drawn = places
            .choose_weighted(rng, |place| self.sources[*place].0)
            .map_err(|e| Error::invalid("data", e.to_string()))?;
        let before: usize = self.sources[..*drawn].iter().map(|(_, s)| s.len()).sum();
        let (inner, sample) = match &self.sources[*drawn].1 {
            OpenSource::Scenes(scenes) => (0, scenes.sample(&self.prompts, n, rng)),
            OpenSource::Dense(dense) => dense.sample(&self.prompts, n, rng)?,
            OpenSource::Jsonl(rows) => (0, rows.sample(&self.prompts, n, rng)?),
        };
        Ok((before + inner, sample))
    }
}

impl OpenSource<'_> {
    /// How many names it has in the log.
    fn len(&self) -> usize {
        match self {
            Self::Scenes(_) | Self::Jsonl(_) => 1,
            Self::Dense(dense) => dense.names().count(),
        }
    }
}

/// Whether samples can be made of these scenes, and their images keep their size.
fn check_scenes(tasks: &SceneTasks, rule: ResizeRule) -> Result<()> {
    tasks.tasks().check("data: scenes")?;
    check_depth_range(tasks.depth_range_m)?;
    tasks.scenes.check()?;
    let size = [tasks.scenes.width, tasks.scenes.height];
    check_kept_size("data: scenes: width, height", rule, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_scenes_or_rows() {
        let read = |text: &str| serde_json::from_str::<Weighted>(text);
        let scenes = read(r#"{"weight": 2, "scenes": {"draw": 1}}"#).unwrap();
        assert_eq!(scenes.weight, 2.0);
        let written = serde_json::to_string(&scenes).unwrap();
        assert_eq!(read(&written).unwrap(), scenes);
        let rows = read(r#"{"jsonl": {"file": "a.jsonl", "rows": "interleaved"}}"#).unwrap();
        assert!(rows.weight == 1.0 && matches!(rows.source, Source::Jsonl(_)));
        for (wrong, part) in [
            ("{}", "got none"),
            (
                r#"{"scenes": {}, "jsonl": {"file": "a", "rows": "depth"}}"#,
                "got more than one",
            ),
            (r#"{"scene": {}}"#, "unknown field `scene`"),
            (r#"{"scenes": {"drew": 1}}"#, "unknown field `drew`"),
            (r#"{"jsonl": {"rows": "depth"}}"#, "missing field `file`"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
