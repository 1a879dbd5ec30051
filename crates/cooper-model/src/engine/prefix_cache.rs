//! What was read, for whoever reads the same again: the least recently used goes first.
//!
//! Keys are hashes of everything that a value follows from, weights aside.

use candle_core::Tensor;
use image::RgbImage;
use lru::LruCache;
use sha2::{Digest, Sha256};

use crate::model::KvContext;

/// The default limit as a part of the weights' bytes: about ten frames of the released model.
const LIMIT_PART: u64 = 16;
/// The least default limit in bytes.
const LEAST_LIMIT: usize = 64 << 20;

/// A hash of what a value follows from.
pub(super) type Key = [u8; 32];

/// A cached value; clones are cheap.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// What was read.
    Context(KvContext),
    /// What an encoder made of an image.
    Encoded(Tensor),
}

impl Value {
    fn n_bytes(&self) -> usize {
        match self {
            Self::Context(context) => context.n_bytes(),
            Self::Encoded(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
        }
    }
}

/// Values by key, bounded by bytes.
#[derive(Debug)]
pub(super) struct PrefixCache {
    limit: usize,
    n_bytes: usize,
    entries: LruCache<Key, Value>,
}

impl PrefixCache {
    /// An empty cache of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            n_bytes: 0,
            entries: LruCache::unbounded(),
        }
    }

    /// Bytes of the cache of an engine with weights of this many bytes, unless a user says otherwise.
    pub(super) fn default_limit(weights_bytes: u64) -> usize {
        let part = usize::try_from(weights_bytes / LIMIT_PART);
        part.map_or(usize::MAX, |part| part.max(LEAST_LIMIT))
    }

    /// The value of a key, which is now the most recently used.
    pub(super) fn get(&mut self, key: &Key) -> Option<Value> {
        self.entries.get(key).cloned()
    }

    /// Add a value, unless it alone is too large, and drop the least recently used ones that no longer fit.
    pub(super) fn put(&mut self, key: Key, value: Value) {
        let n_bytes = value.n_bytes();
        if n_bytes > self.limit || self.get(&key).is_some() {
            return;
        }
        self.n_bytes += n_bytes;
        self.entries.put(key, value);
        while self.n_bytes > self.limit
            && let Some((_, oldest)) = self.entries.pop_lru()
        {
            self.n_bytes -= oldest.n_bytes();
        }
    }

    /// Drop everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}

/// Hashes what a value follows from, part by part.
#[derive(Clone)]
pub(super) struct CacheKey(Sha256);

impl CacheKey {
    /// The key of a kind of value.
    pub(super) fn new(kind: &str) -> Self {
        Self(Sha256::new()).text(kind)
    }

    /// Add a text.
    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Add an image.
    pub(super) fn image(self, image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        self.text(&format!("{width}x{height}"))
            .bytes(image.as_raw())
    }

    /// Add numbers.
    pub(super) fn numbers(self, numbers: &[f32]) -> Self {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    pub(super) fn key(self) -> Key {
        self.0.finalize().into()
    }

    /// With their count, so that parts cannot run into each other.
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn value(n_bytes: usize) -> Value {
        Value::Encoded(Tensor::zeros(n_bytes, DType::U8, &Device::Cpu).unwrap())
    }

    fn key(n: u8) -> Key {
        [n; 32]
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = PrefixCache::new(100);
        cache.put(key(1), value(40));
        cache.put(key(2), value(40));
        assert!(cache.get(&key(1)).is_some());
        cache.put(key(3), value(40));
        assert!(cache.get(&key(2)).is_none());
        assert!(cache.get(&key(1)).is_some() && cache.get(&key(3)).is_some());
        assert_eq!(cache.n_bytes, 80);
        cache.put(key(3), value(40));
        assert_eq!(cache.n_bytes, 80);
    }

    #[test]
    fn what_is_too_large_is_not_cached() {
        let mut cache = PrefixCache::new(100);
        cache.put(key(1), value(40));
        cache.put(key(2), value(101));
        assert!(cache.get(&key(2)).is_none() && cache.get(&key(1)).is_some());
        cache.clear();
        assert!(cache.get(&key(1)).is_none() && cache.n_bytes == 0);
        let mut none = PrefixCache::new(0);
        none.put(key(1), value(1));
        assert!(none.get(&key(1)).is_none());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = |a: &str, b: &str| CacheKey::new("").text(a).text(b).key();
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_eq!(key("ab", "c"), key("ab", "c"));
    }
}
