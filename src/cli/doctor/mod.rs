//! `cooper doctor`: what a model directory holds and whether it can run here, from headers only.
//!
//! The exit code is about the files: 1 if they cannot be loaded. Memory is reported, not judged,
//! since a GPU's memory or swap may make up for what is missing.

mod files;
mod kind;
mod machine;
mod memory;
mod report;

use std::path::{Path, PathBuf};

use clap::Args;
use cooper_model::{Error, Result};

use self::report::Report;
use super::model::{default_model, image_size};
use super::{Verdict, output};

/// Say what a model directory holds, what is missing and what memory it needs, without loading it
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Model directory [default: models/cooper-nano]
    model_dir: Option<PathBuf>,
    /// Transformer weights, where they lie apart from the configs
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Size of the images that memory is planned for
    #[arg(long = "picture", value_name = "WxH", value_parser = image_size, default_value = "640x480")]
    image: (u32, u32),
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    /// Print the report; bad if the model cannot be loaded.
    pub(super) fn run(self) -> Result<Verdict> {
        let dir = self.model_dir.map_or_else(default_model, Ok)?;
        if !dir.is_dir() {
            return Err(Error::Weights {
                path: dir,
                why: "expected a model directory, found none".into(),
            });
        }
        let report = Report::examine(&dir, self.weights.as_deref(), self.image);
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&report.to_string())?;
        }
        Ok(if report.loadable {
            Verdict::Good
        } else {
            Verdict::Bad
        })
    }
}

/// `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

/// `29.2 GB`, `335.3 MB`, `12.0 kB`.
pub(super) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        _ if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} kB", bytes / 1e3),
    }
}

fn is_file(dir: &Path, name: &str) -> bool {
    dir.join(name).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(14_607_260_128), "14 607 260 128");
        assert_eq!(grouped(7), "7");
        assert_eq!(size(29_214_520_256), "29.2 GB");
        assert_eq!(size(335_278_732), "335.3 MB");
        assert_eq!(size(1_500), "1.5 kB");
    }
}
