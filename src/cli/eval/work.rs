//! Sample by sample: progress, broken samples, and a stop that keeps what there is.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::progress::note;
use crate::engine::Cancel;
use crate::engine::Control;
use crate::error::Error;
use crate::error::Result;
use crate::evaluation::Broken;

/// Plain lines tell progress this many times.
const LINES: usize = 20;
/// What a shell reports after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// What came of all samples.
#[derive(Debug)]
pub(super) struct Done<T> {
    /// In order, without the broken ones.
    pub rows: Vec<T>,
    /// The number of each row's sample.
    pub numbers: Vec<usize>,
    /// What could not be used, and why.
    pub broken: Vec<Broken>,
    /// Whether somebody stopped it before the end.
    pub interrupted: bool,
}

/// Ctrl-C stops the work and keeps what there is; a second one ends the program.
pub(super) fn stop_on_interrupt() -> Result<Cancel> {
    let cancel = Cancel::default();
    let pressed = cancel.clone();
    ctrlc::set_handler(move || {
        if pressed.is_canceled() {
            std::process::exit(INTERRUPTED);
        }
        pressed.cancel();
    })
    .map_err(|e| Error::Internal(format!("Ctrl-C cannot be watched: {e}")))?;
    Ok(cancel)
}

/// Who looks for the stop while the model works.
pub(super) fn control(cancel: &Cancel) -> Control<'static> {
    Control::new(cancel.clone(), |_| {})
}

/// Work on samples 0 to `n`, of which `name` tells the names; `broken` ones are known before.
///
/// # Errors
/// If nothing is left at the end, with the first reason.
pub(super) fn each<T>(
    n: usize,
    mut broken: Vec<Broken>,
    cancel: &Cancel,
    name: impl Fn(usize) -> String,
    mut one: impl FnMut(usize) -> Result<T>,
) -> Result<Done<T>> {
    broken.iter().for_each(tell);
    let progress = Progress::new(n);
    let (mut rows, mut numbers) = (Vec::new(), Vec::new());
    let mut interrupted = false;
    for i in 0..n {
        if cancel.is_canceled() {
            interrupted = true;
            break;
        }
        match one(i) {
            Ok(row) => {
                rows.push(row);
                numbers.push(i);
            }
            Err(Error::Canceled) => {
                interrupted = true;
                break;
            }
            Err(error) => {
                let sample = Broken::new(name(i), &error);
                progress.above(|| tell(&sample));
                broken.push(sample);
            }
        }
        progress.done(i + 1);
    }
    progress.finish();
    if interrupted {
        note(&format!("interrupted after {} of {n}", rows.len()));
    }
    if rows.is_empty() {
        let first = broken.first();
        let why = first.map_or("there are no samples".to_owned(), |b| {
            format!("{} broken, first {}: {}", broken.len(), b.name, b.why)
        });
        return Err(if interrupted {
            Error::Canceled
        } else {
            Error::invalid("data", format!("nothing could be measured: {why}"))
        });
    }
    Ok(Done {
        rows,
        numbers,
        broken,
        interrupted,
    })
}

fn tell(broken: &Broken) {
    note(&format!("left out {}: {}", broken.name, broken.why));
}

/// A bar on a terminal, a few plain lines otherwise.
struct Progress {
    n: usize,
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    fn new(n: usize) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(n as u64);
        let template = "{wide_bar} {pos} of {len}, {elapsed} gone, {eta} left";
        // The template is a constant; the default one would do as well.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self {
            n,
            bar,
            began: Instant::now(),
        }
    }

    fn done(&self, n_done: usize) {
        self.bar.set_position(n_done as u64);
        let line = |n_done: usize| n_done * LINES / self.n.max(1);
        if self.bar.is_hidden() && line(n_done) > line(n_done - 1) {
            let seconds = self.began.elapsed().as_secs_f64();
            note(&format!("{n_done} of {}, {seconds:.0} s", self.n));
        }
    }

    fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
