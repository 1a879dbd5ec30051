//! CDR, the bytes of a ROS 2 message: plain XCDR version 1, read in either byte order, written in little-endian.
//!
//! Values are aligned to their own size, counted from behind the four bytes that say how the rest is written.
//! Source: OMG DDSI-RTPS 2.5, 10.2 (the first bytes), and DDS-XTYPES 1.3, 7.4.3 (the encoding).

use cooper_imaging::{Error, Result};

/// The bytes before the message itself.
const PREAMBLE: usize = 4;

/// Reads values in the order of a message's definition; each is named in errors.
#[derive(Clone, Debug)]
pub struct CdrReader<'a> {
    /// What is behind the preamble.
    body: &'a [u8],
    at: usize,
    is_big_endian: bool,
}

impl<'a> CdrReader<'a> {
    /// Read the preamble of a message.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is not plain CDR.
    pub fn new(message: &'a [u8]) -> Result<Self> {
        let refuse = |why: String| Err(Error::invalid("message", why));
        let Some(([_, kind, _, _], body)) = message.split_first_chunk::<PREAMBLE>() else {
            let n = message.len();
            return refuse(format!("expected CDR, at least {PREAMBLE} bytes, got {n}"));
        };
        if *kind > 1 {
            return refuse(format!(
                "expected plain CDR (its second byte 0 or 1), got the encoding {kind:#04x}"
            ));
        }
        Ok(Self {
            body,
            at: 0,
            is_big_endian: *kind == 0,
        })
    }

    /// Read one byte.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the message ends before it; so with all the others.
    pub fn u8(&mut self, field: &str) -> Result<u8> {
        self.value(field, |[byte]| byte, |[byte]| byte)
    }

    /// Read a whole number from 0 up.
    ///
    /// # Errors
    /// As [`CdrReader::u8`].
    pub fn u32(&mut self, field: &str) -> Result<u32> {
        self.value(field, u32::from_le_bytes, u32::from_be_bytes)
    }

    /// Read a whole number.
    ///
    /// # Errors
    /// As [`CdrReader::u8`].
    pub fn i32(&mut self, field: &str) -> Result<i32> {
        self.value(field, i32::from_le_bytes, i32::from_be_bytes)
    }

    /// Read a whole number.
    ///
    /// # Errors
    /// As [`CdrReader::u8`].
    pub fn i64(&mut self, field: &str) -> Result<i64> {
        self.value(field, i64::from_le_bytes, i64::from_be_bytes)
    }

    /// Read a text; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`CdrReader::u8`].
    pub fn string(&mut self, field: &str) -> Result<String> {
        let bytes = self.bytes(field)?;
        // Its length counts the NUL at its end.
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Read a sequence of bytes, or the bytes of a text.
    ///
    /// # Errors
    /// As [`CdrReader::u8`].
    pub fn bytes(&mut self, field: &str) -> Result<&'a [u8]> {
        let n_bytes = self.u32(field)?;
        self.take(n_bytes as usize, field)
    }

    fn value<const N: usize, T>(
        &mut self,
        field: &str,
        little: impl FnOnce([u8; N]) -> T,
        big: impl FnOnce([u8; N]) -> T,
    ) -> Result<T> {
        self.at = self.at.next_multiple_of(N);
        let bytes = self.take(N, field)?;
        let mut value = [0; N];
        value.copy_from_slice(bytes);
        Ok(if self.is_big_endian {
            big(value)
        } else {
            little(value)
        })
    }

    fn take(&mut self, n_bytes: usize, field: &str) -> Result<&'a [u8]> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..n_bytes) else {
            let (at, got) = (PREAMBLE + self.at, rest.len());
            let why = format!(
                "it is truncated: expected {n_bytes} bytes of `{field}` from byte {at}, got {got}"
            );
            return Err(Error::invalid("message", why));
        };
        self.at += n_bytes;
        Ok(taken)
    }
}

/// Writes values in the order of a message's definition.
#[derive(Clone, Debug)]
pub struct CdrWriter {
    bytes: Vec<u8>,
}

impl Default for CdrWriter {
    fn default() -> Self {
        Self {
            bytes: vec![0, 1, 0, 0], // little-endian
        }
    }
}

impl CdrWriter {
    /// Write one byte.
    pub fn u8(&mut self, value: u8) {
        self.value([value]);
    }

    /// Write a whole number from 0 up.
    pub fn u16(&mut self, value: u16) {
        self.value(value.to_le_bytes());
    }

    /// Write a whole number from 0 up.
    pub fn u32(&mut self, value: u32) {
        self.value(value.to_le_bytes());
    }

    /// Write a whole number.
    pub fn i32(&mut self, value: i32) {
        self.value(value.to_le_bytes());
    }

    /// Write a whole number.
    pub fn i64(&mut self, value: i64) {
        self.value(value.to_le_bytes());
    }

    /// Write a number.
    pub fn f64(&mut self, value: f64) {
        self.value(value.to_le_bytes());
    }

    /// Write a text of at most 2³² − 2 bytes; a NUL, at which readers would stop, becomes U+FFFD.
    pub fn string(&mut self, text: &str) {
        let text = text.replace('\0', "\u{fffd}");
        let most = (u32::MAX as usize - 1).min(text.len());
        let mut ends = (0..=most).rev();
        let n_bytes = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.u32(n_bytes as u32 + 1);
        self.bytes.extend(&text.as_bytes()[..n_bytes]);
        self.bytes.push(0);
    }

    /// Write a sequence of at most 2³² − 1 bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let n_bytes = bytes.len().min(u32::MAX as usize);
        self.u32(n_bytes as u32);
        self.bytes.extend(&bytes[..n_bytes]);
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn value<const N: usize>(&mut self, value: [u8; N]) {
        let aligned = (self.bytes.len() - PREAMBLE).next_multiple_of(N) + PREAMBLE;
        self.bytes.resize(aligned, 0);
        self.bytes.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_to_their_size_behind_the_preamble() {
        let mut writer = CdrWriter::default();
        writer.u8(7);
        writer.i64(-2);
        writer.string("ab");
        writer.u32(5);
        let bytes = writer.finish();
        #[rustfmt::skip]
        assert_eq!(bytes, [
            0, 1, 0, 0,
            7, 0, 0, 0, 0, 0, 0, 0,
            0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            3, 0, 0, 0, b'a', b'b', 0, 0,
            5, 0, 0, 0,
        ]);
        let mut reader = CdrReader::new(&bytes).unwrap();
        assert_eq!(reader.u8("a").unwrap(), 7);
        assert_eq!(reader.i64("b").unwrap(), -2);
        assert_eq!(reader.string("c").unwrap(), "ab");
        assert_eq!(reader.u32("d").unwrap(), 5);
    }

    #[test]
    fn big_endian_is_read() {
        let bytes = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0];
        let mut reader = CdrReader::new(&bytes).unwrap();
        assert_eq!(reader.u8("a").unwrap(), 1);
        assert_eq!(reader.u32("b").unwrap(), 258);
        assert_eq!(reader.string("c").unwrap(), "");
    }

    #[test]
    fn unreadable_messages_are_errors() {
        let error = |message: &[u8]| {
            CdrReader::new(message)
                .and_then(|mut reader| reader.string("encoding"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(&[0, 1]),
            "message: expected CDR, at least 4 bytes, got 2"
        );
        assert!(error(&[0, 7, 0, 0]).ends_with("got the encoding 0x07"));
        assert_eq!(
            error(&[0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, b'r']),
            "message: it is truncated: expected 4294967295 bytes of `encoding` from byte 8, got 1"
        );
        assert_eq!(
            error(&[0, 1, 0, 0, 1]),
            "message: it is truncated: expected 4 bytes of `encoding` from byte 4, got 1"
        );
    }

    #[test]
    fn a_nul_does_not_end_a_text() {
        let mut writer = CdrWriter::default();
        writer.string("a\0b");
        let bytes = writer.finish();
        let mut reader = CdrReader::new(&bytes).unwrap();
        assert_eq!(reader.string("a").unwrap(), "a\u{fffd}b");
    }
}
