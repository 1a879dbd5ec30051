//! Progress of a running request: a bar on a terminal, plain lines otherwise, always on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use cooper_model::Error;
use cooper_model::engine::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};

use super::output;

/// Plain lines that a map gets where there is no bar.
const LINES_PER_MAP: f32 = 4.0;

/// Print a line to standard error.
pub(super) fn note(text: &str) {
    // Without standard error, there is no place for the failure either.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `1 map`, `2 maps`.
pub(super) fn count(n: usize, what: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{n} {what}{ending}")
}

/// Whether the text of a turn is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextOutput {
    /// To standard output, token by token.
    Streamed,
    /// Not at all.
    Silent,
}

/// Shows the progress of one request.
pub(super) struct Reporter {
    on_terminal: bool,
    bar: Option<ProgressBar>,
    text: TextOutput,
    /// What the prefill reads.
    reads: &'static str,
    stage: Option<(Stage, usize)>,
    /// The share of the map that was shown last.
    shown: f32,
    at_line_start: bool,
    /// The first failure to print; the request is pointless after it.
    failure: Option<Error>,
}

impl Reporter {
    /// A bar if standard error is a terminal. The prefill reads what `reads` says.
    pub(super) fn new(text: TextOutput, reads: &'static str) -> Self {
        Self {
            on_terminal: std::io::stderr().is_terminal(),
            bar: None,
            text,
            reads,
            stage: None,
            shown: 0.0,
            at_line_start: true,
            failure: None,
        }
    }

    /// Show an event; false once printing has failed.
    pub(super) fn show(&mut self, progress: &Progress) -> bool {
        match progress {
            Progress::Stage(stage, turn) => self.begin(*stage, *turn),
            Progress::Fraction(done) => self.advance(*done),
            Progress::Text(text) => self.stream(text),
            Progress::Map(_) => self.advance(1.0),
        }
        self.failure.is_none()
    }

    /// Clear the bar and end the line.
    ///
    /// # Errors
    /// The first failure to print.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.clear_bar();
        self.end_line();
        self.failure.map_or(Ok(()), Err)
    }

    fn begin(&mut self, stage: Stage, turn: usize) {
        if self.stage.replace((stage, turn)) == Some((stage, turn)) {
            return;
        }
        self.shown = 0.0;
        if stage == Stage::Answering && self.text == TextOutput::Streamed {
            // The same turn: its text continues.
            return;
        }
        self.clear_bar();
        self.end_line();
        let what = self.describe(stage, turn);
        if self.on_terminal {
            let bar = bar(100, "{spinner} {msg} {wide_bar} {pos} % {elapsed}");
            self.bar = Some(bar.with_message(what));
        } else {
            note(&what);
        }
    }

    fn advance(&mut self, done: f32) {
        let done = done.clamp(0.0, 1.0);
        if let Some(bar) = &self.bar {
            bar.set_position((done * 100.0).round() as u64);
            return;
        }
        let Some((stage @ (Stage::Depth | Stage::Segmentation), turn)) = self.stage else {
            return;
        };
        if (done * LINES_PER_MAP).floor() > (self.shown * LINES_PER_MAP).floor() {
            self.shown = done;
            note(&format!(
                "{}: {:.0} %",
                self.describe(stage, turn),
                done * 100.0
            ));
        }
    }

    fn stream(&mut self, text: &str) {
        if self.text == TextOutput::Silent || text.is_empty() {
            return;
        }
        // A bar and unfinished lines do not mix.
        self.clear_bar();
        let text = printable(text);
        self.at_line_start = text.ends_with('\n');
        if let Err(error) = output::print(&text) {
            self.failure.get_or_insert(error);
        }
    }

    fn describe(&self, stage: Stage, turn: usize) -> String {
        let what = match stage {
            Stage::Prefill => return format!("reading {}", self.reads),
            Stage::Thinking => "thinking",
            Stage::Depth => "drawing depth",
            Stage::Segmentation => "drawing segmentation",
            Stage::Answering => "answering",
        };
        match turn {
            0 => what.to_owned(),
            _ => format!("turn {turn}: {what}"),
        }
    }

    fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn end_line(&mut self) {
        if !std::mem::replace(&mut self.at_line_start, true)
            && let Err(error) = output::print("\n")
        {
            self.failure.get_or_insert(error);
        }
    }
}

/// Text that cannot control the terminal: control characters other than line breaks and tabs are replaced.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// A bar on standard error, hidden where that is no terminal.
pub(super) fn bar(len: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    // Templates are constants; with a wrong one, the default style stays.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_has_no_s() {
        let counts = [0, 1, 2].map(|n| count(n, "map"));
        assert_eq!(counts, ["0 maps", "1 map", "2 maps"]);
    }

    #[test]
    fn words_cannot_steer_the_terminal() {
        assert_eq!(printable("a\n\tb\x1b[2J\rc"), "a\n\tb\u{fffd}[2J\u{fffd}c");
    }
}
