//! The loaded model: network, tokenizer, and beside them the prefix cache and counters, which change no result.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use candle_core::{Result as CandleResult, Tensor};
use cooper_imaging::ResizeRule;
use cooper_kernels::Quantization;

use super::prefix_cache::{CacheKey, Key, PrefixCache, Value};
use super::speed::{Part, Speed};
use super::work::WorkDone;
use crate::error::{Error, Result};
use crate::model::pixels::Normalization;
use crate::model::{DepthCurve, FluxVae, ModelConfig, Tokenizer, UnifiedModel};

/// The loaded model with all that it needs to read and to draw.
#[derive(Debug)]
pub struct Engine {
    pub(super) model: UnifiedModel,
    pub(super) vae: FluxVae,
    pub(super) tokenizer: Tokenizer,
    pub(super) config: ModelConfig,
    pub(super) memory_bytes: u64,
    pub(super) quantization: Quantization,
    dir: PathBuf,
    prefix_cache: Mutex<PrefixCache>,
    work: Mutex<WorkDone>,
    speed: Mutex<Speed>,
}

impl Engine {
    /// An engine of parts that exist already, such as a model on weights that are being trained.
    /// The memory is theirs, so [`Self::memory_bytes`] is 0. Its prefix cache holds nothing: the weights may change.
    ///
    /// # Errors
    /// [`Error::Weights`] if the tokenizer has more tokens than the model.
    pub fn from_parts(
        model: UnifiedModel,
        vae: FluxVae,
        tokenizer: Tokenizer,
        config: ModelConfig,
        dir: &Path,
    ) -> Result<Self> {
        check_vocabulary(dir, &tokenizer, &config)?;
        Ok(Self {
            model,
            vae,
            tokenizer,
            config,
            memory_bytes: 0,
            quantization: Quantization::None,
            dir: dir.into(),
            prefix_cache: Mutex::new(PrefixCache::new(0)),
            work: Mutex::default(),
            speed: Mutex::default(),
        })
    }

    /// The model directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `cpu`, `cuda:0` or `metal:0`.
    pub fn device_name(&self) -> String {
        match self.model.device().location() {
            candle_core::DeviceLocation::Cpu => "cpu".into(),
            candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        }
    }

    /// `f32`, `bf16` or `f16`; with quantised matrices also their type, as in `f32+q8_0`.
    pub fn dtype_name(&self) -> String {
        let dtype = self.model.dtype().as_str();
        match self.quantization {
            Quantization::None => dtype.into(),
            quantization => format!("{dtype}+{}", quantization.name()),
        }
    }

    /// How the transformer's matrices are quantised.
    pub fn quantization(&self) -> Quantization {
        self.quantization
    }

    /// Bytes of all weights as loaded.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The network.
    pub fn model(&self) -> &UnifiedModel {
        &self.model
    }

    /// The autoencoder.
    pub fn vae(&self) -> &FluxVae {
        &self.vae
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// All sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The size rule that every image goes through first.
    pub fn vae_rule(&self) -> ResizeRule {
        self.config.vae_rule()
    }

    /// The size rule for the vision encoder, applied to the result of the first.
    pub fn vit_rule(&self) -> ResizeRule {
        self.config.vit_rule()
    }

    /// How brightness becomes relative depth.
    pub fn depth_curve(&self) -> DepthCurve {
        self.config.depth.curve
    }

    /// How channels are normalised.
    pub fn normalization(&self) -> Normalization {
        self.config.normalization()
    }

    /// Keep at most so many bytes of openings and images; 0 keeps nothing. What is kept now is forgotten.
    pub fn keep_at_most(&self, n_bytes: usize) {
        *self.prefix_cache() = PrefixCache::new(n_bytes);
    }

    /// Forget all openings and images.
    pub fn forget(&self) {
        self.prefix_cache().clear();
    }

    pub(super) fn cached(&self, key: &Key) -> Option<Value> {
        self.prefix_cache().get(key)
    }

    pub(super) fn cache(&self, key: Key, value: Value) {
        self.prefix_cache().put(key, value);
    }

    /// An encoder's result for an image, from the prefix cache if it is there.
    pub(super) fn encoded(
        &self,
        key: CacheKey,
        encode: impl FnOnce() -> CandleResult<Tensor>,
    ) -> CandleResult<Tensor> {
        let key = key.key();
        if let Some(Value::Encoded(encoded)) = self.cached(&key) {
            return Ok(encoded);
        }
        let encoded = encode()?;
        self.cache(key, Value::Encoded(encoded.clone()));
        Ok(encoded)
    }

    fn prefix_cache(&self) -> MutexGuard<'_, PrefixCache> {
        lock(&self.prefix_cache)
    }

    /// See [`WorkDone`].
    pub fn work_done(&self) -> WorkDone {
        *lock(&self.work)
    }

    /// Count work.
    pub(super) fn note(&self, note: impl FnOnce(&mut WorkDone)) {
        note(&mut lock(&self.work));
    }

    /// Times measured since the model was loaded.
    pub fn speed(&self) -> Speed {
        lock(&self.speed).clone()
    }

    /// Do work of a part and note how long its `units` took.
    pub(super) fn timed<T, E: From<candle_core::Error>>(
        &self,
        part: Part,
        units: impl FnOnce(&T) -> usize,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let begun = Instant::now();
        let done = work()?;
        // A GPU works on behind the call that asked for it.
        self.model.device().synchronize()?;
        let (seconds, units) = (begun.elapsed().as_secs_f64(), units(&done).max(1));
        self.measure(|speed| speed.note(part, seconds, units));
        Ok(done)
    }

    pub(super) fn measure(&self, note: impl FnOnce(&mut Speed)) {
        note(&mut lock(&self.speed));
    }
}

/// Each change is one call, so a panic while it is locked leaves the value whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Check that the model has a row for each token.
pub(super) fn check_vocabulary(
    dir: &Path,
    tokenizer: &Tokenizer,
    config: &ModelConfig,
) -> Result<()> {
    let (tokens, rows) = (tokenizer.len(), config.llm.vocab_size);
    if tokens <= rows {
        return Ok(());
    }
    Err(Error::Weights {
        path: dir.into(),
        why: format!("tokenizer: expected at most vocab_size {rows} tokens, got {tokens}"),
    })
}
