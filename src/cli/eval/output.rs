//! What an evaluation prints and writes.

use std::path::{Path, PathBuf};

use clap::Args;
use cooper_model::{Error, Result};
use cooper_train::evaluation::{Report, cases};
use image::RgbImage;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::output;
use super::super::progress::note;
use super::super::verdict::Verdict;
use super::work::Done;

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(super) struct OutputArgs {
    /// Write report.md, report.json, rows.jsonl and the cases into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many of the best, the middle and the worst cases are written, each
    #[arg(long, value_name = "N", default_value_t = 3)]
    cases: usize,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// A case to write: its images and texts are made when it is known to be wanted.
pub(super) type Case = (String, usize);

impl OutputArgs {
    /// Make the folder before the model works for hours.
    pub(super) fn prepare(&self) -> Result<()> {
        let Some(dir) = &self.out else {
            return Ok(());
        };
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        output::check_writable(&dir.join("report.json"))
    }

    /// The folder, if files are wanted.
    fn cases_dir(&self) -> Result<Option<PathBuf>> {
        match &self.out {
            Some(dir) if self.cases > 0 => {
                let dir = dir.join("cases");
                std::fs::create_dir_all(&dir).map_err(|e| Error::io(&dir, e))?;
                Ok(Some(dir))
            }
            _ => Ok(None),
        }
    }

    /// As [`Self::write_cases`], but none after an interrupt: their images would have to be drawn again.
    pub(super) fn write_drawn_cases<T>(
        &self,
        done: &Done<T>,
        quality: impl Fn(&T) -> f64,
        write: impl FnMut(&Path, &str, &T, usize) -> Result<()>,
    ) -> Result<Vec<Case>> {
        if !done.interrupted {
            return self.write_cases(done, quality, write);
        }
        if self.out.is_some() && self.cases > 0 {
            note("no images of cases after an interrupt");
        }
        Ok(Vec::new())
    }

    /// Write the best, the middle and the worst, where files are wanted: `write` makes the files of one, given the folder, the case's name,
    /// its row and its number. What they show is made only then: keeping it for all would take too much memory.
    pub(super) fn write_cases<T>(
        &self,
        done: &Done<T>,
        quality: impl Fn(&T) -> f64,
        mut write: impl FnMut(&Path, &str, &T, usize) -> Result<()>,
    ) -> Result<Vec<Case>> {
        let Some(dir) = self.cases_dir()? else {
            return Ok(Vec::new());
        };
        let qualities: Vec<f64> = done.rows.iter().map(quality).collect();
        let mut written = Vec::new();
        for (name, at) in cases(&qualities, self.cases) {
            let number = done.numbers[at];
            write(&dir, &name, &done.rows[at], number)?;
            written.push((name, number));
        }
        Ok(written)
    }

    /// Print and write the report; bad if the work was interrupted.
    pub(super) fn write_report<T: Serialize>(
        &self,
        task: &str,
        report: &Report,
        mut record: Value,
        done: &Done<T>,
        cases: &[Case],
    ) -> Result<Verdict> {
        record["n"] = json!({"measured": done.rows.len(), "broken": done.broken.len()});
        record["interrupted"] = done.interrupted.into();
        let mut all = Map::new();
        all.insert("task".into(), task.into());
        all.insert("results".into(), report.results.clone());
        all.insert("notes".into(), json!(report.notes));
        all.insert("broken".into(), json!(done.broken));
        let shown = cases.iter().map(|(name, i)| (name.clone(), json!(i)));
        all.insert("cases".into(), Value::Object(shown.collect()));
        all.insert("how".into(), record.clone());
        let markdown = markdown(task, report, &record, done);
        if let Some(dir) = &self.out {
            write_rows(&dir.join("rows.jsonl"), &done.rows)?;
            output::write(&dir.join("report.md"), markdown.as_bytes())?;
            // Last: where it lies, everything else lies too.
            output::write_json(&dir.join("report.json"), &all)?;
            note(&format!("report: {}", dir.join("report.md").display()));
        }
        if self.json {
            output::print_json(&all)?;
        } else {
            output::print(&markdown)?;
        }
        Ok(if done.interrupted {
            Verdict::Bad
        } else {
            Verdict::Good
        })
    }
}

fn write_rows<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    let mut lines = String::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|e| Error::Internal(format!("JSON: {e}")))?;
        lines += &(line + "\n");
    }
    output::write(path, lines.as_bytes())
}

fn markdown<T>(task: &str, report: &Report, record: &Value, done: &Done<T>) -> String {
    let mut text = format!("## cooper eval {task}\n\n{report}");
    if done.interrupted {
        text += "- **Interrupted**: not all samples were measured.\n";
    }
    if !done.broken.is_empty() {
        text += &format!("- {} samples were left out:\n", done.broken.len());
    }
    for broken in &done.broken {
        text += &format!("  - {}: {}\n", broken.name, broken.why.replace('\n', " "));
    }
    text += "\n### How\n\n";
    for (name, value) in record.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(words) if name == "command" => command(words),
            other => other.to_string(),
        };
        text += &format!("- {name}: `{value}`\n");
    }
    text
}

fn command(words: &[Value]) -> String {
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    words.join(" ")
}

/// Write a case's image.
pub(super) fn write_case(dir: &Path, name: &str, image: &RgbImage) -> Result<()> {
    output::write_rgb_png(&dir.join(format!("{name}.png")), image)
}

/// Write a case's words.
pub(super) fn write_words(dir: &Path, name: &str, words: &str) -> Result<()> {
    output::write(&dir.join(format!("{name}.txt")), words.as_bytes())
}
