//! The header of a safetensors file: every tensor's name, type and shape, without reading the weights.
//!
//! Format: 8 bytes of length (little endian), that many bytes of JSON, then the tensors' bytes without gaps.
//! The file's size is checked against the header, so that a broken download fails here and not with a bus error in a
//! memory map.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use serde::Deserialize;

/// The format's own limit on a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const METADATA: &str = "__metadata__";

/// One tensor as the header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// How the elements are stored.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// How many numbers the tensor holds.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }
}

/// What a safetensors file holds.
#[derive(Clone, Debug, Default)]
pub struct SafetensorsHeader {
    /// Every tensor by name.
    pub tensors: BTreeMap<String, TensorInfo>,
}

impl SafetensorsHeader {
    /// Read the header of a file and check that the file is whole.
    ///
    /// # Errors
    /// Says what is wrong with the file (without naming it): unreadable, not safetensors, truncated,
    /// malformed, or of an unknown element type.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut file = File::open(path).map_err(|e| e.to_string())?;
        let file_bytes = file.metadata().map_err(|e| e.to_string())?.len();
        Self::read_from(&mut file, file_bytes)
    }

    /// Read the header of a file of `file_bytes` bytes from its beginning.
    ///
    /// # Errors
    /// As [`SafetensorsHeader::read`].
    pub fn read_from(file: &mut impl Read, file_bytes: u64) -> Result<Self, String> {
        let json = read_json(file, file_bytes)?;
        let stored: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&json)
            .map_err(|e| format!("expected a JSON object as header: {e}"))?;
        let mut tensors = BTreeMap::new();
        let mut spans = Vec::with_capacity(stored.len());
        for (name, value) in stored {
            if name == METADATA {
                continue;
            }
            let (info, [begin, end]) = tensor(value).map_err(|why| format!("{name}: {why}"))?;
            spans.push((begin, end, name.clone()));
            tensors.insert(name, info);
        }
        check_spans(spans, 8 + json.len() as u64, file_bytes)?;
        Ok(Self { tensors })
    }

    /// How many numbers all tensors hold.
    pub fn elements(&self) -> u64 {
        self.tensors.values().map(TensorInfo::elements).sum()
    }

    /// The element types that occur, with how many tensors have each.
    pub fn dtypes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for info in self.tensors.values() {
            *counts.entry(info.dtype.to_string()).or_default() += 1;
        }
        counts
    }

    /// A tensor's sizes, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|info| info.shape.as_slice())
    }
}

fn read_json(file: &mut impl Read, file_bytes: u64) -> Result<Vec<u8>, String> {
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| {
        format!("not a safetensors file: expected at least 8 bytes, got {file_bytes}")
    })?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(format!(
            "not a safetensors file: expected a header of at most {MAX_HEADER_BYTES} bytes, \
             got {length} as its length"
        ));
    }
    if length > file_bytes.saturating_sub(8) {
        return Err(format!(
            "truncated or not a safetensors file: the header ends at byte {}, got a file of {file_bytes} bytes",
            8 + length
        ));
    }
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json).map_err(|e| e.to_string())?;
    if json.first() != Some(&b'{') {
        return Err(
            "not a safetensors file: expected a JSON object after the first 8 bytes".into(),
        );
    }
    Ok(json)
}

#[derive(Deserialize)]
struct StoredTensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

fn tensor(value: serde_json::Value) -> Result<(TensorInfo, [u64; 2]), String> {
    let StoredTensor {
        dtype,
        shape,
        data_offsets,
    } = serde_json::from_value(value)
        .map_err(|e| format!("expected dtype, shape and data_offsets in the header: {e}"))?;
    let known = Dtype::deserialize(serde_json::Value::from(dtype.as_str()))
        .map_err(|_| format!("expected a dtype of safetensors, got {dtype}"))?;
    let bits = shape
        .iter()
        .try_fold(known.bitsize() as u64, |bits, &n| {
            bits.checked_mul(n as u64)
        })
        .ok_or_else(|| format!("expected a shape that fits into memory, got {shape:?}"))?;
    let [begin, end] = data_offsets;
    if end.checked_sub(begin) != Some(bits.div_ceil(8)) {
        return Err(format!(
            "expected {} bytes for {dtype} {shape:?}, got the offsets {begin}..{end}",
            bits.div_ceil(8)
        ));
    }
    let info = TensorInfo {
        dtype: known,
        shape,
    };
    Ok((info, data_offsets))
}

/// The tensors must fill the file from `data_start` to its end, one after the other.
fn check_spans(
    mut spans: Vec<(u64, u64, String)>,
    data_start: u64,
    file_bytes: u64,
) -> Result<(), String> {
    spans.sort_unstable();
    let mut filled = 0;
    for (begin, end, name) in spans {
        if begin != filled {
            return Err(format!(
                "{name}: expected its bytes to start at {filled}, got {begin}"
            ));
        }
        filled = end;
    }
    let expected = data_start.saturating_add(filled);
    if file_bytes < expected {
        return Err(format!(
            "truncated: expected {expected} bytes, got {file_bytes} (download it again)"
        ));
    }
    if file_bytes > expected {
        return Err(format!(
            "longer than its header says: expected {expected} bytes, got {file_bytes}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(header: &str, data: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes())
            .unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(&vec![0; data]).unwrap();
        file
    }

    #[track_caller]
    fn check_error(header: &str, data: usize, expected: &str) {
        let error = SafetensorsHeader::read(file(header, data).path()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;

    #[test]
    fn reads_names_types_and_shapes() {
        let header = SafetensorsHeader::read(file(TWO, 16).path()).unwrap();
        assert_eq!(header.tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(header.shape("b"), Some([2, 3].as_slice()));
        assert_eq!(header.tensors["b"].dtype, Dtype::BF16);
        assert_eq!(header.elements(), 7);
        assert_eq!(header.dtypes()["F32"], 1);
    }

    #[test]
    fn says_how_much_of_a_file_is_missing() {
        let whole = 8 + TWO.len() + 16;
        let expected = format!("truncated: expected {whole} bytes, got {}", whole - 1);
        check_error(TWO, 15, &expected);
        check_error(TWO, 17, "longer than its header says");
    }

    #[test]
    fn refuses_what_is_not_a_header() {
        check_error("[1]", 0, "not a safetensors file");
        check_error(r#"{"a":"#, 0, "expected a JSON object as header");
        let two_bytes = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(two_bytes.path(), "PK").unwrap();
        let error = SafetensorsHeader::read(two_bytes.path()).unwrap_err();
        assert_eq!(
            error,
            "not a safetensors file: expected at least 8 bytes, got 2"
        );
        std::fs::write(two_bytes.path(), "<!DOCTYPE html><html>").unwrap();
        let error = SafetensorsHeader::read(two_bytes.path()).unwrap_err();
        assert!(error.contains("at most 100000000 bytes"), "{error}");
    }

    #[test]
    fn refuses_tensors_that_cannot_be() {
        let of = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        check_error(
            &of("Q4", "[2]", "[0,2]"),
            2,
            "t: expected a dtype of safetensors, got Q4",
        );
        check_error(
            &of("F32", "[2]", "[0,4]"),
            4,
            "expected 8 bytes for F32 [2]",
        );
        check_error(&of("F32", "[1]", "[8,4]"), 4, "offsets 8..4");
        check_error(&of("F32", "[1]", "[4,8]"), 8, "start at 0, got 4");
        let huge = format!("[{0},{0}]", u64::MAX / 2);
        check_error(
            &of("F32", &huge, "[0,4]"),
            4,
            "expected a shape that fits into memory",
        );
        check_error(
            r#"{"t":{"dtype":"F32"}}"#,
            0,
            "t: expected dtype, shape and data_offsets",
        );
    }
}
