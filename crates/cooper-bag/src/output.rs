//! The MCAP file that is written. It appears in its place when it is complete.

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use cooper_imaging::{Error, NewFile, Result, folder_of};
use mcap::records::MessageHeader;
use mcap::{Compression, McapError, McapResult, WriteOptions, Writer};

use super::mcap_file::BagMessage;
use super::schemas::{self, MessageType};

/// Who wrote the file.
const LIBRARY: &str = concat!("cooper-perception ", env!("CARGO_PKG_VERSION"));

/// A file that is being written. Dropped before [`Output::finish`], it leaves nothing behind.
pub struct Output {
    path: PathBuf,
    writer: Writer<BufWriter<NewFile>>,
    /// Messages of each topic.
    counts: BTreeMap<String, u64>,
}

/// The recording times of an image, which its maps have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The image's number in its channel.
    pub sequence: u32,
    /// When it was recorded, nanoseconds.
    pub log_time: u64,
    /// When it was sent, nanoseconds.
    pub publish_time: u64,
}

impl From<&BagMessage> for Times {
    fn from(message: &BagMessage) -> Self {
        Self {
            sequence: message.sequence,
            log_time: message.log_time,
            publish_time: message.publish_time,
        }
    }
}

impl Output {
    /// Check that a file can be written at `path`, and that it is none of `inputs`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is one of them, or no file can be there.
    pub fn check(path: &Path, inputs: &[PathBuf]) -> Result<()> {
        let refuse = |why: &str| Err(Error::invalid(path.display().to_string(), why));
        let existing = path.canonicalize().ok();
        let is_input = |input: &PathBuf| input.canonicalize().ok() == existing;
        if existing.is_some() && inputs.iter().any(is_input) {
            return refuse("it is the input; expected another file to write to");
        }
        if path.is_dir() || !folder_of(path).is_dir() {
            return refuse("expected a file in a folder that exists");
        }
        Ok(())
    }

    /// Begin to write `path`; [`Output::finish`] replaces a file that is there.
    ///
    /// # Errors
    /// As [`Output::check`]; [`Error::Io`] if it cannot be written.
    pub fn create(path: &Path, inputs: &[PathBuf]) -> Result<Self> {
        Self::check(path, inputs)?;
        let file = NewFile::create(path)?;
        let writer = WriteOptions::new()
            .profile("ros2")
            .library(LIBRARY)
            .compression(Some(Compression::Zstd))
            // On this thread: the bytes must not depend on the number of processors.
            .compression_threads(0)
            .create(BufWriter::new(file));
        Ok(Self {
            path: path.into(),
            writer: writer.map_err(|e| failed(path, e))?,
            counts: BTreeMap::new(),
        })
    }

    /// Write a message of the input as it is.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn copy(&mut self, message: &BagMessage) -> Result<()> {
        let channel = &message.channel;
        let id = self.write_with(|writer| {
            let schema = match &channel.schema {
                Some(schema) => writer.add_schema(&schema.name, &schema.encoding, &schema.data)?,
                None => 0,
            };
            writer.add_channel(
                schema,
                &channel.topic,
                &channel.message_encoding,
                &channel.metadata,
            )
        })?;
        self.write(&channel.topic, id, message.into(), &message.data)
    }

    /// Complete the file and move it to its place; returns the number of messages of each topic.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; then there is no new file.
    pub fn finish(mut self) -> Result<BTreeMap<String, u64>> {
        self.write_with(|writer| writer.finish().map(|_| ()))?;
        let file = self.writer.into_inner().into_inner();
        file.map_err(|e| Error::io(&self.path, e.into_error()))?
            .commit()?;
        Ok(self.counts)
    }

    /// Write a message in CDR on `topic`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn publish(
        &mut self,
        topic: &str,
        message_type: MessageType,
        times: Times,
        message: &[u8],
    ) -> Result<()> {
        let id = self.write_with(|writer| {
            let text = message_type.schema();
            let schema =
                writer.add_schema(message_type.name, schemas::ENCODING, text.as_bytes())?;
            writer.add_channel(schema, topic, schemas::MESSAGE_ENCODING, &BTreeMap::new())
        })?;
        self.write(topic, id, times, message)
    }

    fn write(&mut self, topic: &str, channel_id: u16, times: Times, data: &[u8]) -> Result<()> {
        let header = MessageHeader {
            channel_id,
            sequence: times.sequence,
            log_time: times.log_time,
            publish_time: times.publish_time,
        };
        self.write_with(|writer| writer.write_to_known_channel(&header, data))?;
        *self.counts.entry(topic.to_owned()).or_default() += 1;
        Ok(())
    }

    fn write_with<T>(
        &mut self,
        write: impl FnOnce(&mut Writer<BufWriter<NewFile>>) -> McapResult<T>,
    ) -> Result<T> {
        write(&mut self.writer).map_err(|e| failed(&self.path, e))
    }
}

fn failed(path: &Path, error: McapError) -> Error {
    match error {
        McapError::Io(source) => Error::io(path, source),
        other => Error::Internal(format!("writing {}: {other}", path.display())),
    }
}
