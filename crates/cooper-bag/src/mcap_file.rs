//! An MCAP file, read from its beginning to its end without the index. Damaged records are skipped.
//!
//! A file is a sequence of records with lengths; messages are records of their own or lie in chunks, which may be compressed.
//! This module walks the records and checks their lengths against the file; the crate `mcap` decodes chunks.
//! Source: <https://mcap.dev/spec>.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_imaging::{Error, Result};
use mcap::records::{MessageHeader, Record, op};
use mcap::{Channel, MAGIC, Message};

use super::chunk::{Chunk, Extent};
use super::damage::Damage;
use super::record::{MAX_RECORD, PREFIX, parse_record};

/// The record at the end: its prefix, where the summary and its offsets begin, a checksum; then the magic bytes.
const FOOTER: u64 = PREFIX as u64 + 8 + 8 + 4 + MAGIC.len() as u64;

/// One message with its channel.
pub type BagMessage = Message<'static>;

type Channels = mcap::read::ChannelAccumulator<'static>;

/// Anything that a file can be read from.
pub trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// A file that is being read.
pub struct McapFile {
    path: PathBuf,
    source: Box<dyn Source>,
    /// Bytes of the file.
    length: u64,
    /// Where the next record begins.
    at: u64,
    ended: bool,
    chunk: Option<Chunk>,
    channels: Channels,
    /// Channels from the summary at the end, for those whose own records are damaged.
    repeated: Channels,
    damage: Damage,
}

impl McapFile {
    /// Open a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::InvalidInput`] if it is another kind of file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        Self::new(path, BufReader::with_capacity(1 << 16, file), length)
    }

    /// Read from `source`, which has `length` bytes; `path` names it in messages.
    ///
    /// # Errors
    /// As [`McapFile::open`].
    pub fn new(path: &Path, mut source: impl Source + 'static, length: u64) -> Result<Self> {
        let mut magic = Vec::new();
        let first = source.by_ref().take(16).read_to_end(&mut magic);
        first.map_err(|e| Error::io(path, e))?;
        if !magic.starts_with(MAGIC) {
            let why = format!("expected an MCAP file, got {}", other_kind(&magic));
            return Err(Error::invalid(path.display().to_string(), why));
        }
        let mut file = Self {
            path: path.into(),
            source: Box::new(source),
            length,
            at: 0,
            ended: false,
            chunk: None,
            channels: Channels::default(),
            repeated: Channels::default(),
            damage: Damage::default(),
        };
        file.read_summary()?;
        file.seek_to(MAGIC.len() as u64)?;
        Ok(file)
    }

    /// The next message in the file's order; none at its end.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read. Damaged records are skipped and noted in [`McapFile::damage`].
    pub fn next_message(&mut self) -> Result<Option<BagMessage>> {
        loop {
            if let Some(chunk) = &mut self.chunk {
                match chunk.next_record() {
                    Ok(Some((opcode, body))) => {
                        let what = format!("in the chunk at byte {}", chunk.at);
                        if let Some(message) = self.read_record(opcode, &body, &what) {
                            return Ok(Some(message));
                        }
                    }
                    Ok(None) => self.chunk = None,
                    Err(why) => {
                        let at = chunk.at;
                        self.chunk = None;
                        self.lose(&format!("the chunk at byte {at}: {why}"));
                    }
                }
            } else if self.ended {
                return Ok(None);
            } else if let Some(message) = self.next_in_file()? {
                return Ok(Some(message));
            }
        }
    }

    /// What could not be read so far.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Read the channels that the summary at the end repeats, if there is one. Errors in it are ignored: messages do not depend
    /// on it.
    fn read_summary(&mut self) -> Result<()> {
        let Some(footer_at) = self.length.checked_sub(FOOTER) else {
            return Ok(());
        };
        let mut footer = [0; FOOTER as usize];
        self.seek_to(footer_at)?;
        self.read(&mut footer)?;
        let start = match parse_record(op::FOOTER, &footer[PREFIX..]) {
            Ok(Record::Footer(found)) if footer[0] == op::FOOTER => found.summary_start,
            _ => return Ok(()),
        };
        if !(MAGIC.len() as u64..footer_at).contains(&start) {
            return Ok(());
        }
        self.seek_to(start)?;
        while self.at + (PREFIX as u64) <= footer_at {
            let (opcode, length) = self.read_prefix()?;
            if length > footer_at.saturating_sub(self.at) {
                break;
            }
            if matches!(opcode, op::SCHEMA | op::CHANNEL) && length <= MAX_RECORD {
                let mut body = vec![0; length as usize];
                self.read(&mut body)?;
                let _ = match parse_record(opcode, &body) {
                    Ok(Record::Schema { header, data }) => {
                        self.repeated.add_schema_from_slice(header, &data)
                    }
                    Ok(Record::Channel(channel)) => self.repeated.add_channel(channel),
                    _ => Ok(()),
                };
            } else {
                self.seek_to(self.at + length)?;
            }
        }
        Ok(())
    }

    fn read_prefix(&mut self) -> Result<(u8, u64)> {
        let mut prefix = [0; PREFIX];
        self.read(&mut prefix)?;
        let [opcode, length @ ..] = prefix;
        Ok((opcode, u64::from_le_bytes(length)))
    }

    /// Read one record of the file: a message, a chunk, which is opened, or another one.
    fn next_in_file(&mut self) -> Result<Option<BagMessage>> {
        let at = self.at;
        let rest = self.length.saturating_sub(at);
        if rest < PREFIX as u64 {
            self.cut_short("it ends without the record that ends the messages");
            return Ok(None);
        }
        let (opcode, length) = self.read_prefix()?;
        let available = length.min(rest - PREFIX as u64);
        let is_whole = available == length;
        match opcode {
            op::DATA_END | op::FOOTER => self.ended = true,
            op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK if available > MAX_RECORD => {
                self.lose(&format!(
                    "the record at byte {at}: expected at most {MAX_RECORD} bytes, got {length}"
                ));
                self.seek_to(at + PREFIX as u64 + available)?;
            }
            op::CHUNK => {
                let mut record = vec![opcode];
                record.extend(length.to_le_bytes());
                record.resize(PREFIX + available as usize, 0);
                self.read(&mut record[PREFIX..])?;
                let extent = match is_whole {
                    true => Extent::Whole,
                    false => Extent::CutOff,
                };
                match Chunk::open(at, record, extent) {
                    Ok(chunk) => self.chunk = Some(chunk),
                    Err(why) => self.lose(&format!("the chunk at byte {at}: {why}")),
                }
            }
            op::SCHEMA | op::CHANNEL | op::MESSAGE if is_whole => {
                let mut body = vec![0; available as usize];
                self.read(&mut body)?;
                return Ok(self.read_record(opcode, &body, &format!("at byte {at}")));
            }
            // Indexes, attachments, metadata, and records of later versions.
            _ => self.seek_to(at + PREFIX as u64 + available)?,
        }
        if !is_whole {
            let got = rest - PREFIX as u64;
            self.cut_short(&format!(
                "it ends inside the record at byte {at}: expected {length} bytes, got {got}"
            ));
        }
        Ok(None)
    }

    /// Read a record: the message, if it is one of a known channel. Schemas and channels are stored.
    fn read_record(&mut self, opcode: u8, body: &[u8], place: &str) -> Option<BagMessage> {
        if !matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE) {
            return None;
        }
        let stored = match parse_record(opcode, body) {
            Ok(Record::Schema { header, data }) => {
                let stored = self.channels.add_schema_from_slice(header, &data);
                stored.map_err(|e| e.to_string())
            }
            Ok(Record::Channel(channel)) => {
                let stored = self.channels.add_channel(channel);
                stored.map_err(|e| e.to_string())
            }
            Ok(Record::Message { header, data }) => {
                let id = header.channel_id;
                let channel = self.channels.get(id).or_else(|| self.repeated.get(id));
                return match channel {
                    Some(channel) => Some(message(channel, header, data.into_owned())),
                    None => {
                        self.lose(&format!(
                            "a message {place}: its channel {id} was not described before"
                        ));
                        None
                    }
                };
            }
            Ok(_) => Ok(()),
            Err(why) => Err(why),
        };
        if let Err(why) = stored {
            self.lose(&format!("a record {place}: {why}"));
        }
        None
    }

    fn cut_short(&mut self, how: &str) {
        self.ended = true;
        self.lose(&format!(
            "cut short, what was written before is kept: {how}"
        ));
    }

    fn lose(&mut self, what: &str) {
        self.damage.add(format!("{}: {what}", self.path.display()));
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        let read = self.source.read_exact(bytes);
        read.map_err(|e| Error::io(&self.path, e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Seek to a byte of the file.
    fn seek_to(&mut self, to: u64) -> Result<()> {
        let position = self.source.seek(std::io::SeekFrom::Start(to));
        self.at = position.map_err(|e| Error::io(&self.path, e))?;
        Ok(())
    }
}

fn message(channel: Arc<Channel<'static>>, header: MessageHeader, data: Vec<u8>) -> BagMessage {
    Message {
        channel,
        sequence: header.sequence,
        log_time: header.log_time,
        publish_time: header.publish_time,
        data: data.into(),
    }
}

/// The kind of a file that is no MCAP, by its first bytes, and what the user can do.
fn other_kind(first: &[u8]) -> &'static str {
    const KINDS: [(&[u8], &str); 4] = [
        (
            b"SQLite format 3",
            "a bag in SQLite: convert it with `ros2 bag convert`",
        ),
        (
            b"#ROSBAG V2",
            "a bag of ROS 1: convert it with PyPI's `rosbags-convert`",
        ),
        (
            b"\x28\xb5\x2f\xfd",
            "a file compressed as a whole: decompress it with `zstd -d`",
        ),
        (b"", "other bytes"),
    ];
    let kind = KINDS.iter().find(|(magic, _)| first.starts_with(magic));
    if first.is_empty() {
        "an empty file"
    } else {
        kind.map_or("other bytes", |(_, kind)| kind)
    }
}
