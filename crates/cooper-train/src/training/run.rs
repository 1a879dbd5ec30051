//! The loop that every stage shares: batches, gradients, updates, checkpoints.
//!
//! What a step sees is a function of the seed and the step's number alone, so a stopped run goes on bit for bit,
//! and the number of threads changes nothing: micro-batches are added up in their order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use candle_core::Tensor;
use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use serde::{Deserialize, Serialize};

use super::checkpoint;
use super::checkpoint::State;
use super::optimizer::{AdamW, Optimizer, Schedule};
use super::parameters::Parameters;

/// What all stages have in common.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The model directory to start from.
    pub init: PathBuf,
    /// Checkpoints and the log go here.
    pub out: PathBuf,
    /// Of everything random.
    pub seed: u64,
    /// Updates of the weights.
    pub steps: usize,
    /// Batches whose gradients are averaged for an update.
    pub micro_batches: usize,
    /// Threads that compute micro-batches; 0: one for each core.
    pub threads: usize,
    /// See [`AdamW`].
    pub optimizer: AdamW,
    /// See [`Schedule`].
    pub schedule: Schedule,
    /// Weights that stay as they are, `*` for anything.
    pub freeze: Vec<String>,
    /// Steps between log lines.
    pub log_every: usize,
    /// Steps between checkpoints.
    pub save_every: usize,
    /// Checkpoints to keep; the oldest go first.
    pub keep: usize,
    /// Save the averaged weights in bf16, as released, instead of f32.
    pub bf16: bool,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            init: PathBuf::new(),
            out: PathBuf::new(),
            seed: 4396,
            steps: 6000,
            micro_batches: 1,
            threads: 0,
            optimizer: AdamW::default(),
            schedule: Schedule::default(),
            freeze: Vec::new(),
            log_every: 10,
            save_every: 500,
            keep: 2,
            bf16: false,
        }
    }
}

impl RunConfig {
    /// # Errors
    /// [`Error::InvalidInput`] with the first key that cannot be.
    pub fn check(&self) -> Result<()> {
        let refuse = |key: &str, why: &str| Err(Error::invalid(key, why));
        for (key, number) in [
            ("steps", self.steps),
            ("micro_batches", self.micro_batches),
            ("log_every", self.log_every),
            ("save_every", self.save_every),
            ("keep", self.keep),
        ] {
            if number == 0 {
                return refuse(key, "expected at least 1, got 0");
            }
        }
        if self.out.as_os_str().is_empty() {
            return refuse("out", "expected a folder for checkpoints, got none");
        }
        self.optimizer.check()?;
        self.schedule.check()?;
        if !self.init.is_dir() {
            let why = format!(
                "expected a model directory, found none at {}",
                self.init.display()
            );
            return refuse("init", &why);
        }
        Ok(())
    }

    /// How many threads compute.
    pub fn n_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = if self.threads == 0 {
            cores
        } else {
            self.threads
        };
        wanted.min(self.micro_batches)
    }
}

/// Elements that the two losses are averaged over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Text tokens with a loss.
    pub ce: f64,
    /// Latent tokens (or whatever else a stage averages over) with a loss.
    pub mse: f64,
    /// Samples.
    pub samples: f64,
    /// Tokens, with and without loss.
    pub tokens: f64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            ce: self.ce + other.ce,
            mse: self.mse + other.mse,
            samples: self.samples + other.samples,
            tokens: self.tokens + other.tokens,
        }
    }
}

/// Numbers to log, by name: a sum and what to divide it by.
pub type Metrics = BTreeMap<String, (f64, f64)>;

/// A stage of training: where batches come from and what their loss is.
pub trait Stage: Sync {
    /// A micro-batch, ready to run.
    type Batch: Send + Sync;

    /// Make micro-batch `micro` of `step`: a function of these, the seed and the present weights.
    ///
    /// # Errors
    /// If the data cannot be used.
    fn batch(&self, step: usize, micro: usize) -> Result<Self::Batch>;

    /// What the batch's losses are averaged over.
    fn counts(&self, batch: &Self::Batch) -> Counts;

    /// The batch's part of the step's loss (a scalar), where `totals` are the step's counts; and numbers to log.
    ///
    /// # Errors
    /// If the network fails.
    fn loss(&self, batch: &Self::Batch, totals: &Counts) -> Result<(Tensor, Metrics)>;

    /// The stage's whole configuration, which a checkpoint keeps.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn settings(&self) -> Result<serde_json::Value>;
}

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// Updates done.
    pub step: usize,
    /// Of so many.
    pub steps: usize,
    /// Learning rate now.
    pub lr: f64,
    /// The gradient's length before clipping, mean since the last line.
    pub grad_norm: f64,
    /// Samples a second.
    pub samples_per_s: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Seconds since the run was started or resumed.
    pub seconds: f64,
    /// Everything that the stage reports, means since the last line.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
}

/// Where to put the averaged weights, and what else belongs in a model directory.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The weights file that is trained, e.g. `ema.safetensors`.
    pub weights: &'static str,
    /// Trained weights whose names begin so are no part of the model.
    pub left_out: Option<&'static str>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done; the last checkpoint.
    Done(PathBuf),
    /// Somebody asked for a stop; the checkpoint to go on from.
    Stopped(PathBuf),
}

/// Train until all steps are done or somebody asks for a stop; goes on from the newest checkpoint in `out`.
///
/// # Errors
/// [`Error::InvalidInput`] if a loss is no number (the last checkpoint stays), or if the checkpoint to go on from was
/// made with other settings; otherwise if the stage fails.
pub fn run(
    config: &RunConfig,
    layout: &Layout,
    parameters: &Parameters,
    stage: &impl Stage,
    cancel: &Cancel,
    mut tell: impl FnMut(&LogLine),
) -> Result<Ended> {
    let mut optimizer = Optimizer::new(config.optimizer.clone(), parameters)?;
    let settings = stage.settings()?;
    let first = checkpoint::resume(config, &settings, parameters, &mut optimizer)?;
    let mut window = Window::new();
    let started = Instant::now();
    for step in first..config.steps {
        let (gradients, counts, mut metrics) = gradients(config, parameters, stage, step)?;
        let rate = config.schedule.factor(step, config.steps);
        let length = optimizer.step(parameters, &gradients, step, rate)?;
        metrics.insert("grad_norm".into(), (length, 1.0));
        if let Some((name, _)) = metrics.iter().find(|(_, (sum, _))| !sum.is_finite()) {
            let why = format!(
                "step {step}: expected finite numbers, got a {name} that is none; the last checkpoint stays"
            );
            return Err(Error::invalid("training", why));
        }
        window.add(metrics, counts);
        let done = step + 1;
        if done % config.log_every == 0 || done == config.steps {
            tell(&window.line(config, done, rate, started));
        }
        let stop = cancel.is_canceled();
        if stop || done % config.save_every == 0 || done == config.steps {
            let state = State {
                settings: &settings,
                parameters,
                optimizer: &optimizer,
            };
            let at = checkpoint::save(config, layout, &state, done)?;
            if stop && done < config.steps {
                return Ok(Ended::Stopped(at));
            }
        }
    }
    Ok(Ended::Done(checkpoint::folder(
        config,
        first.max(config.steps),
    )))
}

/// Means since the last log line.
struct Window {
    metrics: Metrics,
    counts: Counts,
    since: Instant,
}

impl Window {
    fn new() -> Self {
        Self {
            metrics: Metrics::new(),
            counts: Counts::default(),
            since: Instant::now(),
        }
    }

    fn add(&mut self, metrics: Metrics, counts: Counts) {
        merge(&mut self.metrics, metrics);
        self.counts = self.counts.plus(counts);
    }

    fn line(&mut self, config: &RunConfig, step: usize, rate: f64, started: Instant) -> LogLine {
        let window = std::mem::replace(self, Self::new());
        let seconds = window.since.elapsed().as_secs_f64();
        let mut metrics: BTreeMap<String, f64> = window
            .metrics
            .into_iter()
            .map(|(name, (sum, weight))| (name, sum / weight.max(1e-12)))
            .collect();
        LogLine {
            step,
            steps: config.steps,
            lr: config.optimizer.lr * rate,
            grad_norm: metrics.remove("grad_norm").unwrap_or_default(),
            samples_per_s: window.counts.samples / seconds,
            tokens_per_s: window.counts.tokens / seconds,
            seconds: started.elapsed().as_secs_f64(),
            metrics,
        }
    }
}

fn merge(into: &mut Metrics, from: Metrics) {
    for (name, (sum, weight)) in from {
        let entry = into.entry(name).or_default();
        entry.0 += sum;
        entry.1 += weight;
    }
}

type Gradients = BTreeMap<String, Tensor>;

/// The step's gradient: all micro-batches are made first, since their losses are averaged over all of them.
fn gradients<S: Stage>(
    config: &RunConfig,
    parameters: &Parameters,
    stage: &S,
    step: usize,
) -> Result<(Gradients, Counts, Metrics)> {
    let n = config.micro_batches;
    let batches = in_parallel(config.n_threads(), n, |micro| stage.batch(step, micro))?;
    let totals = batches.iter().fold(Counts::default(), |sum, batch| {
        sum.plus(stage.counts(batch))
    });
    let parts = in_parallel(config.n_threads(), n, |micro| {
        let (loss, mut metrics) = stage.loss(&batches[micro], &totals)?;
        metrics.insert(
            "loss".into(),
            (f64::from(loss.to_scalar::<f32>()?), 1.0 / n as f64),
        );
        let mut store = loss.backward()?;
        let mut gradients = Gradients::new();
        for (name, var) in parameters.trained() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name.clone(), gradient);
            }
        }
        Ok((gradients, metrics))
    })?;
    let (mut sum, mut metrics) = (Gradients::new(), Metrics::new());
    for (gradients, of_part) in parts {
        merge(&mut metrics, of_part);
        for (name, gradient) in gradients {
            let total = match sum.remove(&name) {
                Some(so_far) => (so_far + gradient)?,
                None => gradient,
            };
            sum.insert(name, total);
        }
    }
    Ok((sum, totals, metrics))
}

/// `f` of 0..n on some threads, each of which computes alone; the results in order.
fn in_parallel<T: Send>(
    n_threads: usize,
    n: usize,
    f: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, T)>> {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return Ok(done);
            }
            done.push((i, f(i)?));
        }
    };
    let mut all = if n_threads <= 1 {
        work()?
    } else {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads)
                .map(|_| scope.spawn(|| alone(work)))
                .collect();
            let mut all = Vec::with_capacity(n);
            for thread in threads {
                let done = thread.join();
                all.extend(done.map_err(|_| Error::Internal("a training thread died".into()))??);
            }
            Ok::<_, Error>(all)
        })?
    };
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

/// Keep candle's matrix products of this thread on this thread.
fn alone<R: Send>(work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| Error::Internal(format!("no thread pool: {e}")))?;
    pool.install(work)
}
