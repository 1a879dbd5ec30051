//! Sample by sample: progress, broken samples, and a stop that keeps what there is.

use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use cooper_train::evaluation::Broken;

use super::super::batch::Progress;
use super::super::progress::note;

/// The results of all samples.
#[derive(Debug)]
pub(super) struct Done<T> {
    /// In order, without the broken ones.
    pub rows: Vec<T>,
    /// The number of each row's sample.
    pub numbers: Vec<usize>,
    /// What could not be used, and why.
    pub broken: Vec<Broken>,
    /// Whether it was canceled before the end.
    pub interrupted: bool,
}

/// Run `one` on samples 0 to `n`, named by `name`; `broken` ones are known before.
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
    broken.iter().for_each(note_broken);
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
                progress.above(|| note_broken(&sample));
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
        let why = first.map_or("expected samples, got none".to_owned(), |b| {
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

fn note_broken(broken: &Broken) {
    note(&format!("left out {}: {}", broken.name, broken.why));
}
