//! A chunk of an MCAP file: records, often compressed, with a checksum.

use mcap::records::{ChunkHeader, Record};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::record::{MAX_RECORD, PREFIX, parse_record};

/// How much of a chunk the file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: it is checked before it is read.
    Whole,
    /// The file ends inside it: records are read up to there.
    CutOff,
}

/// A chunk that is being read.
pub(super) struct Chunk {
    /// Where it begins in the file.
    pub at: u64,
    reader: LinearReader,
    /// The chunk's record with its prefix.
    record: Vec<u8>,
    n_fed: usize,
    extent: Extent,
}

impl Chunk {
    /// Open the chunk's record, which begins at byte `at` of the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(at: u64, mut record: Vec<u8>, extent: Extent) -> Result<Self, String> {
        match extent {
            Extent::Whole => check(record.get(PREFIX..).unwrap_or_default())?,
            Extent::CutOff => end_behind_last_whole_record(&mut record),
        }
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_skip_end_magic(true)
            .with_prevalidate_chunk_crcs(extent == Extent::Whole)
            .with_record_length_limit(MAX_RECORD as usize);
        Ok(Self {
            at,
            reader: LinearReader::new_with_options(options),
            record,
            n_fed: 0,
            extent,
        })
    }

    /// The next record's operation code and content; none at the end.
    ///
    /// # Errors
    /// What is wrong with it; the rest cannot be read.
    pub fn next_record(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        loop {
            match self.reader.next_event() {
                None => return Ok(None),
                Some(Ok(LinearReadEvent::Record { opcode, data })) => {
                    return Ok(Some((opcode, data.to_vec())));
                }
                Some(Ok(LinearReadEvent::ReadRequest(n_wanted))) => {
                    let rest = self.record.get(self.n_fed..).unwrap_or_default();
                    let n_given = n_wanted.min(rest.len());
                    let given = &rest[..n_given];
                    self.reader.insert(n_given).copy_from_slice(given);
                    self.reader.notify_read(n_given);
                    self.n_fed += n_given;
                }
                // The caller reports where the file ends.
                Some(Err(_)) if self.extent == Extent::CutOff => return Ok(None),
                Some(Err(why)) => return Err(why.to_string()),
            }
        }
    }
}

/// Check what the crate `mcap` trusts: the size of a chunk's content and, if it is not compressed, of its records.
fn check(body: &[u8]) -> Result<(), String> {
    let (header, data) = match parse_record(mcap::records::op::CHUNK, body) {
        Ok(Record::Chunk { header, data }) => (header, data),
        Ok(_) => return Err("it is no chunk".into()),
        Err(why) => return Err(why),
    };
    let ChunkHeader {
        compression,
        uncompressed_size,
        ..
    } = header;
    if uncompressed_size > MAX_RECORD {
        return Err(format!(
            "expected at most {MAX_RECORD} bytes of content, got {uncompressed_size}"
        ));
    }
    if compression.is_empty() {
        check_records(&data)?;
    }
    Ok(())
}

/// Check that records fill their chunk.
fn check_records(records: &[u8]) -> Result<(), String> {
    match records.len() - whole_records(records) {
        0 => Ok(()),
        n => Err(format!("expected whole records, got {n} bytes at its end")),
    }
}

/// Bytes of the records that are whole.
fn whole_records(records: &[u8]) -> usize {
    let mut rest = records;
    while let Some(([_, length @ ..], behind)) = rest.split_first_chunk::<PREFIX>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok();
        let Some(next) = length.and_then(|n| behind.get(n..)) else {
            break;
        };
        rest = next;
    }
    records.len() - rest.len()
}

/// Cut a chunk behind its last whole record, if it is not compressed, and remove its checksum.
fn end_behind_last_whole_record(record: &mut Vec<u8>) {
    // Times, size, checksum, the name of the compression, size in the file.
    const SIZE: usize = PREFIX + 16;
    const CHECKSUM: usize = SIZE + 8;
    const NAME: usize = CHECKSUM + 4;
    const SIZE_IN_FILE: usize = NAME + 4;
    const RECORDS: usize = SIZE_IN_FILE + 8;
    if record.get(NAME..SIZE_IN_FILE) != Some(&[0; 4]) || record.len() < RECORDS {
        return;
    }
    let n_bytes = whole_records(&record[RECORDS..]);
    record.truncate(RECORDS + n_bytes);
    let length = (record.len() - PREFIX) as u64;
    record[1..PREFIX].copy_from_slice(&length.to_le_bytes());
    record[SIZE..CHECKSUM].copy_from_slice(&(n_bytes as u64).to_le_bytes());
    record[CHECKSUM..NAME].fill(0);
    record[SIZE_IN_FILE..RECORDS].copy_from_slice(&(n_bytes as u64).to_le_bytes());
}
