//! The loop that every stage shares: batches, gradients, updates, checkpoints.
//!
//! A step's batches are a function of the seed and the step's number alone, so a stopped run continues bit for bit.
//! The number of threads changes nothing: gradients of micro-batches are added in their order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use candle_core::Tensor;
use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use serde::Serialize;

use super::checkpoint;
use super::checkpoint::State;
use super::optimizer::Optimizer;
use super::parameters::Parameters;
use super::run_config::RunConfig;
use super::stage::{Counts, Metrics, Stage};

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// Updates done.
    pub step: usize,
    /// Updates of the whole run.
    pub steps: usize,
    /// Learning rate now.
    pub lr: f64,
    /// The gradient's norm before clipping, mean since the last line.
    pub grad_norm: f64,
    /// Samples a second.
    pub samples_per_s: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Seconds since the run was started or resumed.
    pub seconds: f64,
    /// The stage's own metrics, means since the last line.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// All steps are done; the last checkpoint.
    Finished(PathBuf),
    /// The run was canceled; the checkpoint to continue from.
    Stopped(PathBuf),
}

/// Train until all steps are done or `cancel` is set; continues from the newest checkpoint in `out`.
///
/// `on_log` gets a line every `log_every` steps.
///
/// # Errors
/// [`Error::InvalidInput`] if a loss is not finite (the last checkpoint stays); [`Error::Config`] if the checkpoint was
/// made with other settings; otherwise if the stage fails.
pub fn run<S: Stage>(
    stage: &S,
    parameters: &Parameters,
    cancel: &Cancel,
    mut on_log: impl FnMut(&LogLine),
) -> Result<RunOutcome> {
    let config = stage.run_config();
    let mut optimizer = Optimizer::new(config.optimizer.clone(), parameters)?;
    let settings = stage.settings()?;
    let first = checkpoint::resume(config, &settings, parameters, &mut optimizer)?;
    let mut window = Window::new();
    let started = Instant::now();
    for step in first..config.steps {
        let (gradients, counts, mut metrics) = gradients(parameters, stage, step)?;
        let rate = config.schedule.factor(step, config.steps);
        let norm = optimizer.step(parameters, &gradients, step, rate)?;
        metrics.insert("grad_norm".into(), (norm, 1.0));
        check_finite(&metrics, step)?;
        let done = step + 1;
        let stop = cancel.is_canceled();
        let is_checkpoint = stop || done % config.save_every == 0 || done == config.steps;
        if is_checkpoint && !stop {
            metrics.extend(optimizer.with_averages(parameters, || stage.validate())?);
        }
        window.add(metrics, counts);
        if done % config.log_every == 0 || done == config.steps {
            on_log(&window.line(config, done, rate, started));
        }
        if is_checkpoint {
            let state = State {
                settings: &settings,
                parameters,
                optimizer: &optimizer,
            };
            let saved = checkpoint::save(config, &S::LAYOUT, &state, done)?;
            if stop && done < config.steps {
                return Ok(RunOutcome::Stopped(saved));
            }
        }
    }
    Ok(RunOutcome::Finished(checkpoint::folder(
        config,
        first.max(config.steps),
    )))
}

fn check_finite(metrics: &Metrics, step: usize) -> Result<()> {
    match metrics.iter().find(|(_, (sum, _))| !sum.is_finite()) {
        None => Ok(()),
        Some((name, (sum, _))) => {
            let why = format!(
                "step {step}: expected finite numbers, got {sum} for {name}; the last checkpoint stays"
            );
            Err(Error::invalid("training", why))
        }
    }
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
    parameters: &Parameters,
    stage: &S,
    step: usize,
) -> Result<(Gradients, Counts, Metrics)> {
    let config = stage.run_config();
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
    for (gradients, part_metrics) in parts {
        merge(&mut metrics, part_metrics);
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
                .map(|_| scope.spawn(|| single_threaded(work)))
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

/// Keep candle's matrix products on the calling thread.
fn single_threaded<R: Send>(work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| Error::Internal(format!("no thread pool: {e}")))?;
    pool.install(work)
}
