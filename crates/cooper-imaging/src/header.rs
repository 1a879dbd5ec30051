//! The header of a camera image.

/// When and in which optical frame an image was taken: copied to everything that is computed from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// Seconds of the stamp, in the clock of the source.
    pub stamp_secs: i32,
    /// Nanoseconds of the stamp, 0 to 999 999 999.
    pub stamp_nanos: u32,
    /// The camera's optical frame.
    pub frame_id: String,
}

impl FrameHeader {
    /// The stamp in nanoseconds.
    pub fn stamp_ns(&self) -> i64 {
        i64::from(self.stamp_secs) * 1_000_000_000 + i64::from(self.stamp_nanos)
    }

    /// The stamp in seconds, to a fraction of a microsecond.
    pub fn stamp_s(&self) -> f64 {
        f64::from(self.stamp_secs) + f64::from(self.stamp_nanos) * 1e-9
    }
}
