//! What commands that work on many images share: progress, and a stop that keeps what there is.

use std::time::{Duration, Instant};

use cooper_model::engine::{Cancel, Control};
use cooper_model::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::progress::note;

/// Plain lines tell progress this many times.
const LINES: usize = 20;
/// What a shell reports after Ctrl-C.
const INTERRUPTED: i32 = 130;

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

/// A bar on a terminal, a few plain lines otherwise.
pub(super) struct Progress {
    n: usize,
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    /// Nothing of `n` is done.
    pub(super) fn new(n: usize) -> Self {
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

    /// So many are done.
    pub(super) fn done(&self, n_done: usize) {
        self.bar.set_position(n_done as u64);
        let line = |n_done: usize| n_done * LINES / self.n.max(1);
        if self.bar.is_hidden() && line(n_done) > line(n_done - 1) {
            let seconds = self.began.elapsed().as_secs_f64();
            note(&format!("{n_done} of {}, {seconds:.0} s", self.n));
        }
    }

    /// Let something be printed that the bar must not overwrite.
    pub(super) fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Take the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
