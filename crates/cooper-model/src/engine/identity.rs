//! Which model it is, from its files, in milliseconds.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::load::{ModelOptions, VAE_NAME, quantized_beside};
use crate::error::{Error, Result};

/// The small files that decide the network's results, where a model directory has them.
const SMALL_FILES: [&str; 10] = [
    "config.json",
    "llm_config.json",
    "vit_config.json",
    "ae_config.json",
    "preprocessor_config.json",
    "depth_config.json",
    "palette.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
];
/// Pieces of a weights file that are read, and the bytes of each: all of 29 GB would take minutes.
const N_PIECES: u64 = 64;
const PIECE_BYTES: u64 = 64 << 10;

/// Which model it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ModelIdentity {
    /// The transformer's weights file.
    pub weights: String,
    /// Its size, quantised matrices beside it included.
    pub weights_bytes: u64,
    /// SHA-256 in hexadecimal, of the sizes of the transformer's and the autoencoder's weights files and of 64 pieces
    /// of 64 KiB of each, evenly spread (all of a file that is smaller).
    pub weights_sample_sha256: String,
    /// SHA-256 in hexadecimal, of the names and contents of the configurations and the tokenizer's files.
    pub configs_sha256: String,
}

impl ModelIdentity {
    /// Read the files of a model in part.
    ///
    /// # Errors
    /// [`Error::Weights`] if there are no weights, [`Error::Io`] if a file cannot be read.
    pub fn read(options: &ModelOptions) -> Result<Self> {
        let weights = options.weights_file()?;
        let mut sample = Sha256::new();
        let mut weights_bytes = add_sample(&mut sample, &weights)?;
        let quantized = quantized_beside(&weights);
        if quantized.exists() {
            weights_bytes += add_sample(&mut sample, &quantized)?;
        }
        add_sample(&mut sample, &options.dir.join(VAE_NAME))?;
        let mut configs = Sha256::new();
        for name in SMALL_FILES {
            if let Ok(content) = std::fs::read(options.dir.join(name)) {
                configs.update(format!("{name} {}\n", content.len()));
                configs.update(&content);
            }
        }
        Ok(Self {
            weights: weights.display().to_string(),
            weights_bytes,
            weights_sample_sha256: format!("{:x}", sample.finalize()),
            configs_sha256: format!("{:x}", configs.finalize()),
        })
    }
}

/// Add a file's size and pieces; returns the size.
fn add_sample(sample: &mut Sha256, path: &Path) -> Result<u64> {
    let failed = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(failed)?;
    let n_bytes = file.metadata().map_err(failed)?.len();
    sample.update(n_bytes.to_le_bytes());
    let mut piece = Vec::new();
    let starts: Vec<u64> = if n_bytes <= N_PIECES * PIECE_BYTES {
        (0..n_bytes).step_by(PIECE_BYTES as usize).collect()
    } else {
        // The first and the last piece among them; in 128 bits, since files may be large.
        let last = u128::from(n_bytes - PIECE_BYTES);
        let start = |i| (last * u128::from(i) / u128::from(N_PIECES - 1)) as u64;
        (0..N_PIECES).map(start).collect()
    };
    for start in starts {
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        piece.clear();
        let mut part = (&mut file).take(PIECE_BYTES);
        part.read_to_end(&mut piece).map_err(failed)?;
        sample.update(&piece);
    }
    Ok(n_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sample(path: &Path, content: &[u8]) -> String {
        std::fs::write(path, content).unwrap();
        let mut sample = Sha256::new();
        assert_eq!(add_sample(&mut sample, path).unwrap(), content.len() as u64);
        format!("{:x}", sample.finalize())
    }

    #[test]
    fn other_content_is_another_sample() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for n_bytes in [1, 70_000, 6_000_000] {
            let content = vec![7; n_bytes];
            let known = sample(&path, &content);
            assert_eq!(sample(&path, &content), known);
            for at in [0, n_bytes / 2, n_bytes - 1] {
                let mut other = content.clone();
                // Pieces are spread: what lies between them is not seen.
                let end = (at + 40_000).min(n_bytes);
                other[at..end].fill(8);
                assert_ne!(sample(&path, &other), known, "{n_bytes} {at}");
            }
            let longer: Vec<u8> = content.iter().copied().chain([7]).collect();
            assert_ne!(sample(&path, &longer), known);
        }
    }
}
