//! What was read is kept for whoever reads the same again: least recently used goes first.
//!
//! Keys are hashes of everything that a value follows from, weights aside.

use std::collections::VecDeque;

use candle_core::Tensor;
use image::RgbImage;
use sha2::{Digest, Sha256};

use super::context::Views;
use crate::model::KvContext;

/// A hash of what a value follows from.
pub(super) type Key = [u8; 32];

/// A value that is kept; clones are cheap.
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
    /// The least recently used first.
    entries: VecDeque<(Key, Value)>,
}

impl PrefixCache {
    /// Nothing yet, and never more than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            n_bytes: 0,
            entries: VecDeque::new(),
        }
    }

    /// The value of a key, which is now the most recently used.
    pub(super) fn get(&mut self, key: &Key) -> Option<Value> {
        let at = self.entries.iter().position(|(known, _)| known == key)?;
        let entry = self.entries.remove(at)?;
        let value = entry.1.clone();
        self.entries.push_back(entry);
        Some(value)
    }

    /// Keep a value, unless it alone is too large, at the cost of those that were not used for longest.
    pub(super) fn put(&mut self, key: Key, value: Value) {
        let n_bytes = value.n_bytes();
        if n_bytes > self.limit || self.get(&key).is_some() {
            return;
        }
        self.n_bytes += n_bytes;
        self.entries.push_back((key, value));
        while self.n_bytes > self.limit {
            let Some((_, oldest)) = self.entries.pop_front() else {
                break;
            };
            self.n_bytes -= oldest.n_bytes();
        }
    }

    /// Forget everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}

/// Hashes what a value follows from, part by part.
#[derive(Clone)]
pub(super) struct CacheKey(Sha256);

impl CacheKey {
    /// Of this kind of value.
    pub(super) fn new(kind: &str) -> Self {
        Self(Sha256::new()).text(kind)
    }

    /// And of a text.
    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// And of an image.
    pub(super) fn image(self, image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        self.text(&format!("{width}x{height}"))
            .bytes(image.as_raw())
    }

    /// And of how it is read.
    pub(super) fn views(self, views: Views) -> Self {
        self.text(&format!("{views:?}"))
    }

    /// And of numbers.
    pub(super) fn numbers(self, numbers: &[f32]) -> Self {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    pub(super) fn key(self) -> Key {
        self.0.finalize().into()
    }

    /// With their number, so that parts cannot run into each other.
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
        let mut kept = PrefixCache::new(100);
        kept.put(key(1), value(40));
        kept.put(key(2), value(40));
        assert!(kept.get(&key(1)).is_some());
        kept.put(key(3), value(40));
        assert!(kept.get(&key(2)).is_none());
        assert!(kept.get(&key(1)).is_some() && kept.get(&key(3)).is_some());
        assert_eq!(kept.n_bytes, 80);
        kept.put(key(3), value(40));
        assert_eq!(kept.n_bytes, 80);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let mut kept = PrefixCache::new(100);
        kept.put(key(1), value(40));
        kept.put(key(2), value(101));
        assert!(kept.get(&key(2)).is_none() && kept.get(&key(1)).is_some());
        kept.clear();
        assert!(kept.get(&key(1)).is_none() && kept.n_bytes == 0);
        let mut none = PrefixCache::new(0);
        none.put(key(1), value(1));
        assert!(none.get(&key(1)).is_none());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |a: &str, b: &str| CacheKey::new("").text(a).text(b).key();
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_eq!(of("ab", "c"), of("ab", "c"));
    }
}
