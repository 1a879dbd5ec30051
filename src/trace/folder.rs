//! A trace as a folder: `trace.json`, images and maps as PNG, turns as text, and the prompts.

use std::path::Path;

use cooper_model::{Error, Result};
use image::RgbImage;

use super::query::Query;
use super::record::Trace;

/// The file that is written last: where it lies, everything it names lies too.
const TRACE: &str = "trace.json";
/// The file of the prompts.
const PROMPTS: &str = "prompts.yaml";

/// A trace that was read.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Everything but the images.
    pub trace: Trace,
    /// What the question was about.
    pub images: Vec<RgbImage>,
    /// What was drawn.
    pub maps: Vec<RgbImage>,
    /// The file of the prompts.
    pub prompts: std::path::PathBuf,
}

/// Write a question's trace into a folder that exists; the bytes that it takes.
///
/// # Errors
/// [`Error::Io`] if a file cannot be written; then there is no `trace.json`.
pub fn write(folder: &Path, query: &Query, trace: &Trace) -> Result<u64> {
    let mut n_bytes = 0;
    let mut file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        n_bytes += content.len() as u64;
        std::fs::write(&path, content).map_err(|e| Error::io(&path, e))
    };
    // That of an earlier question would name the files of this one.
    remove(&folder.join(TRACE))?;
    file(PROMPTS, query.model.prompts.as_bytes())?;
    for (record, frame) in trace.images.iter().zip(query.frame.all()) {
        file(&record.file, &cooper_imaging::encode_png(&frame.image)?)?;
    }
    if let Some(transcript) = &query.transcript {
        for (record, map) in trace.evidence.iter().zip(&transcript.evidence) {
            file(&record.file, &cooper_imaging::encode_png(&map.image)?)?;
        }
    }
    for (n, turn) in trace.turns.iter().enumerate() {
        file(&format!("turn_{}.txt", n + 1), turn.as_bytes())?;
    }
    let json = serde_json::to_string_pretty(trace);
    let json = json.map_err(|e| Error::Internal(format!("{TRACE}: {e}")))?;
    file(TRACE, json.as_bytes())?;
    Ok(n_bytes)
}

/// Read a trace.
///
/// # Errors
/// [`Error::Io`] if a file is missing, [`Error::InvalidInput`] if one is not what the trace says.
pub fn read(folder: &Path) -> Result<Recorded> {
    let path = folder.join(TRACE);
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    let trace = Trace::parse(&text, &path.display().to_string())?;
    let load = |file: &str, sha256: &str| {
        // A name, not a way out of the folder.
        let name = Path::new(file).file_name().unwrap_or_default();
        let path = folder.join(name);
        let image = cooper_imaging::load_rgb(&path)?;
        let got = cooper_imaging::sha256(&image);
        if got == sha256 {
            return Ok(image);
        }
        let why = format!("expected pixels with the SHA-256 {sha256}, got {got}");
        Err(Error::invalid(path.display().to_string(), why))
    };
    let images = trace.images.iter().map(|p| load(&p.file, &p.sha256));
    let images = images.collect::<Result<Vec<_>>>()?;
    if images.is_empty() {
        let why = "expected at least one image, got none";
        return Err(Error::invalid(path.display().to_string(), why));
    }
    let maps = trace.evidence.iter().map(|m| load(&m.file, &m.sha256));
    Ok(Recorded {
        images,
        maps: maps.collect::<Result<_>>()?,
        prompts: folder.join(PROMPTS),
        trace,
    })
}

fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(file, error)),
        _ => Ok(()),
    }
}
