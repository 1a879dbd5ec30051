//! The pixels that decoders write.

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];
