//! What long commands share: progress over many items, and Ctrl-C.

use std::time::Instant;

use cooper_model::engine::{Cancel, Control};
use cooper_model::{Error, Result};
use indicatif::ProgressBar;

use super::progress::{bar, note};

/// Plain lines where there is no bar.
const LINES: usize = 20;
/// What a shell reports after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The first Ctrl-C cancels the work and keeps what is done; a second one ends the program.
pub(super) fn stop_on_interrupt() -> Result<Cancel> {
    let cancel = Cancel::default();
    let pressed = cancel.clone();
    ctrlc::set_handler(move || {
        if pressed.is_canceled() {
            std::process::exit(INTERRUPTED);
        }
        pressed.cancel();
    })
    .map_err(|e| Error::Internal(format!("Ctrl-C cannot be handled: {e}")))?;
    Ok(cancel)
}

/// A control that cancels the model and shows no progress.
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
    /// Progress over `n` items.
    pub(super) fn new(n: usize) -> Self {
        let bar = bar(n, "{wide_bar} {pos} of {len}, {elapsed} gone, {eta} left");
        Self {
            n,
            bar,
            began: Instant::now(),
        }
    }

    /// `n_done` items are done.
    pub(super) fn done(&self, n_done: usize) {
        self.bar.set_position(n_done as u64);
        let line = |n_done: usize| n_done * LINES / self.n.max(1);
        if self.bar.is_hidden() && line(n_done) > line(n_done - 1) {
            let seconds = self.began.elapsed().as_secs_f64();
            note(&format!("{n_done} of {}, {seconds:.0} s", self.n));
        }
    }

    /// Print something above the bar.
    pub(super) fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Remove the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
