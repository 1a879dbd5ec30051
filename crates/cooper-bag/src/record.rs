//! One record of an MCAP file, with its lengths checked before it is decoded.

use mcap::records::{Record, op};

/// Bytes of an operation code and the length of the record.
pub(super) const PREFIX: usize = 1 + 8;
/// The largest record that is read, and the largest content of a chunk, in bytes.
pub(super) const MAX_RECORD: u64 = 1 << 28;

/// The record in `body`.
///
/// The crate `mcap` allocates as many bytes as a length says, up to 4 GiB, before it checks that they are there.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_record(opcode: u8, body: &[u8]) -> Result<Record<'_>, String> {
    let mut lengths = Lengths(body);
    let checked = match opcode {
        // An id; name, encoding, data.
        op::SCHEMA => lengths.skip(2).and_then(|()| lengths.parts(3)),
        // Two ids; topic, encoding, and names with values.
        op::CHANNEL => lengths.skip(4).and_then(|()| {
            lengths.parts(2)?;
            Lengths(lengths.part()?).all()
        }),
        // Start and end, size, checksum; compression.
        op::CHUNK => lengths.skip(8 + 8 + 8 + 4).and_then(|()| lengths.parts(1)),
        _ => Ok(()),
    };
    checked?;
    mcap::parse_record(opcode, body).map_err(|e| e.to_string())
}

/// A sequence of parts, each behind its length.
struct Lengths<'a>(&'a [u8]);

impl<'a> Lengths<'a> {
    fn skip(&mut self, n: usize) -> Result<(), String> {
        self.take(n).map(drop)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let Some((taken, rest)) = self.0.split_at_checked(n) else {
            let got = self.0.len();
            return Err(format!("expected {n} more bytes in it, got {got}"));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn part(&mut self) -> Result<&'a [u8], String> {
        let mut length = [0; 4];
        length.copy_from_slice(self.take(4)?);
        self.take(u32::from_le_bytes(length) as usize)
    }

    fn parts(&mut self, n: usize) -> Result<(), String> {
        (0..n).try_for_each(|_| self.part().map(drop))
    }

    fn all(&mut self) -> Result<(), String> {
        while !self.0.is_empty() {
            self.part()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_record_take_no_memory() {
        // Found by libFuzzer: a schema whose name has 3.7 GB.
        let schema = [0, 0, 0xf6, 0xdb, 0xe0, 0xdb, 0, 0, 0, 7];
        let error = parse_record(op::SCHEMA, &schema).unwrap_err();
        assert_eq!(error, "expected 3688946678 more bytes in it, got 4");
        let channel = [
            1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255,
        ];
        let error = parse_record(op::CHANNEL, &channel).unwrap_err();
        assert!(error.contains("expected 4294967295 more bytes"), "{error}");
        assert!(parse_record(op::CHANNEL, &channel[..4]).is_err());
        let error = parse_record(op::CHUNK, &[255; 40]).unwrap_err();
        assert_eq!(error, "expected 4294967295 more bytes in it, got 8");
    }

    #[test]
    fn a_whole_channel_is_read() {
        let mut channel = vec![1, 0, 0, 0];
        for part in ["/camera", "cdr"] {
            channel.extend((part.len() as u32).to_le_bytes());
            channel.extend(part.bytes());
        }
        channel.extend([10, 0, 0, 0, 1, 0, 0, 0, b'k', 1, 0, 0, 0, b'v']);
        let Record::Channel(found) = parse_record(op::CHANNEL, &channel).unwrap() else {
            panic!("expected a channel");
        };
        assert_eq!(
            (found.topic.as_str(), found.metadata["k"].as_str()),
            ("/camera", "v")
        );
    }
}
