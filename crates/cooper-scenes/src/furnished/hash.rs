//! Numbers from numbers: the same ones in every run, without a generator's state.

/// A well mixed number.
pub(super) fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A number in [0, 1) for a point of a grid.
pub(super) fn unit(x: i32, y: i32, seed: u32) -> f32 {
    let mixed = mix((x as u32) ^ mix((y as u32) ^ mix(seed)));
    (mixed >> 8) as f32 / (1 << 24) as f32
}

/// FNV-1a.
pub(super) fn hash_text(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
