//! Answers in tables: modes side by side, by kind, against each other.

use cooper_metric::median;
use cooper_model::reasoning::{Mode, Status};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::score::{NumberScores, Score};
use crate::evaluation::statistics::{Bootstrap, Estimate, mean};
use crate::evaluation::table::{Report, Table, dash, percent};

/// What a mode answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// Which mode.
    pub mode: Mode,
    /// How it ended.
    pub status: Status,
    /// The short answer, perhaps empty.
    pub answer: String,
    /// The last turn's whole text.
    pub text: String,
    /// What it is worth.
    pub score: Score,
    /// Maps that were drawn for it.
    pub n_maps: usize,
    /// How long it took.
    pub seconds: f64,
    /// Why the judge did not read it, if it was asked to.
    pub judge_failure: Option<String>,
}

/// A question with the answers of all modes, in one order for all questions.
#[derive(Clone, Debug, Serialize)]
pub struct QaRow {
    /// The question's name.
    pub name: String,
    /// Its image's number: questions about one image are resampled together.
    #[serde(rename = "picture")]
    pub image_idx: usize,
    /// Its kind.
    pub kind: String,
    /// As it was asked.
    pub question: String,
    /// The true answer.
    pub truth: String,
    /// By mode.
    pub answers: Vec<Answered>,
}

/// A mode's name.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Interleaved => "interleaved",
        Mode::Text => "text",
        Mode::Perception => "perception",
        Mode::Direct => "direct",
    }
}

impl QaRow {
    fn of(&self, mode: Mode) -> Option<&Answered> {
        self.answers.iter().find(|answered| answered.mode == mode)
    }

    /// The mean score over modes, by which questions are put in order.
    pub fn quality(&self) -> f64 {
        let scores: Vec<f64> = self.answers.iter().map(|a| a.score.value).collect();
        mean(&scores).unwrap_or_default()
    }
}

/// All tables; `modes` in the order of the columns.
pub fn qa_report(rows: &[QaRow], modes: &[Mode], bootstrap: &Bootstrap) -> Report {
    let view = View { rows, bootstrap };
    let mut kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let tables = [
        Some(view.overall(modes)),
        (kinds.len() > 1).then(|| view.by_kind(&kinds, modes)),
        view.differences(modes),
        view.numbers(&kinds, modes),
    ];
    let mut notes = vec![
        "In brackets: the interval of 95 % of the means over resampled images.".to_owned(),
        "No answer: nothing was said. Unreadable: nothing of the asked form was said. Both score 0.".into(),
    ];
    let answers = || rows.iter().flat_map(|row| &row.answers);
    let n_unjudged = answers().filter(|a| a.judge_failure.is_some()).count();
    if n_unjudged > 0 {
        notes.push(format!(
            "The judge failed on {n_unjudged} answers; these were read by rules."
        ));
    }
    let of_mode = |mode: &Mode| (mode_name(*mode).to_owned(), view.figures(*mode, &kinds));
    let mut results: Map<String, Value> = modes.iter().map(of_mode).collect();
    results.insert("differences".into(), view.difference_figures(modes));
    results.insert("judge_failures".into(), n_unjudged.into());
    Report {
        tables: tables.into_iter().flatten().collect(),
        notes,
        results: results.into(),
    }
}

#[derive(Clone, Copy)]
struct View<'r> {
    rows: &'r [QaRow],
    bootstrap: &'r Bootstrap,
}

impl View<'_> {
    /// (image, value) of each answer of a mode that has the value.
    fn values(
        self,
        mode: Mode,
        kind: Option<&str>,
        value: impl Fn(&Answered) -> Option<f64>,
    ) -> Vec<(usize, f64)> {
        let of_kind = |row: &&QaRow| kind.is_none_or(|kind| row.kind == kind);
        let rows = self.rows.iter().filter(of_kind);
        rows.filter_map(|row| Some((row.image_idx, value(row.of(mode)?)?)))
            .collect()
    }

    fn estimate(
        self,
        mode: Mode,
        kind: Option<&str>,
        value: impl Fn(&Answered) -> Option<f64>,
    ) -> Option<Estimate> {
        self.bootstrap.clustered(&self.values(mode, kind, value))
    }

    fn score(self, mode: Mode, kind: Option<&str>) -> Option<Estimate> {
        self.estimate(mode, kind, |a| Some(a.score.value))
    }

    fn mean(self, mode: Mode, value: impl Fn(&Answered) -> f64) -> Option<f64> {
        let values = self.values(mode, None, |a| Some(value(a)));
        mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())
    }

    fn overall(self, modes: &[Mode]) -> Table {
        let header = [
            "mode",
            "score, %",
            "no answer, %",
            "unreadable, %",
            "maps per question",
            "s per question",
        ];
        let mut table = Table::new(format!("Answers to {} questions", self.rows.len()), header);
        for &mode in modes {
            let share =
                |value: Option<f64>| value.map_or_else(dash, |v| format!("{:.1}", 100.0 * v));
            let number = |value: Option<f64>| value.map_or_else(dash, |v| format!("{v:.2}"));
            table.row([
                mode_name(mode).to_owned(),
                percent(self.score(mode, None)),
                share(self.mean(mode, |a| one_if(is_silent(a)))),
                share(self.mean(mode, |a| one_if(is_unreadable(a)))),
                number(self.mean(mode, |a| a.n_maps as f64)),
                number(self.mean(mode, |a| a.seconds)),
            ]);
        }
        table
    }

    fn by_kind(self, kinds: &[&str], modes: &[Mode]) -> Table {
        let names = modes.iter().map(|mode| mode_name(*mode));
        let header = ["kind", "questions"].into_iter().chain(names);
        let mut table = Table::new("Score by kind, %", header);
        for kind in kinds {
            let n = self.rows.iter().filter(|row| row.kind == *kind).count();
            let scores = modes
                .iter()
                .map(|&mode| percent(self.score(mode, Some(kind))));
            let first = [(*kind).to_owned(), n.to_string()];
            table.row(first.into_iter().chain(scores));
        }
        table
    }

    /// Each mode's score less that of the first, question by question.
    fn difference(self, mode: Mode, base: Mode) -> Option<Estimate> {
        let of = |row: &QaRow, mode| row.of(mode).map(|a| a.score.value);
        let pairs = self.rows.iter();
        let pairs: Vec<(usize, f64)> = pairs
            .filter_map(|row| Some((row.image_idx, of(row, mode)? - of(row, base)?)))
            .collect();
        self.bootstrap.clustered(&pairs)
    }

    fn differences(self, modes: &[Mode]) -> Option<Table> {
        let (base, others) = modes
            .split_first()
            .filter(|(_, others)| !others.is_empty())?;
        let title = format!("Points ahead of {}", mode_name(*base));
        let mut table = Table::new(title, ["mode", "difference, points"]);
        for &mode in others {
            let cells = [
                mode_name(mode).to_owned(),
                percent(self.difference(mode, *base)),
            ];
            table.row(cells);
        }
        Some(table)
    }

    fn difference_figures(self, modes: &[Mode]) -> Value {
        let Some((base, others)) = modes.split_first() else {
            return Value::Null;
        };
        let figures: Map<String, Value> = others
            .iter()
            .map(|&mode| {
                let name = format!("{}-{}", mode_name(mode), mode_name(*base));
                (name, json!(self.difference(mode, *base)))
            })
            .collect();
        figures.into()
    }

    /// Numbers and lengths alone; none if nobody asked for any.
    fn numbers(self, kinds: &[&str], modes: &[Mode]) -> Option<Table> {
        let header = [
            "kind",
            "mode",
            "questions",
            "within 25 %, %",
            "within factor 2, %",
            "mean relative accuracy, %",
            "median relative error",
        ];
        let mut table = Table::new("Numbers and lengths without choices", header);
        for kind in kinds.iter().map(Some).chain([None]) {
            let kind = kind.copied();
            for &mode in modes {
                let of = |value: fn(&NumberScores) -> f64| {
                    self.estimate(mode, kind, |a| a.score.number.as_ref().map(value))
                };
                let Some(within) = of(|n| one_if(n.within_25)) else {
                    continue;
                };
                table.row([
                    kind.unwrap_or("all").to_owned(),
                    mode_name(mode).to_owned(),
                    within.n.to_string(),
                    percent(Some(within)),
                    percent(of(|n| one_if(n.within_factor_2))),
                    percent(of(|n| n.mra)),
                    self.median_error(mode, kind)
                        .map_or_else(dash, |e| format!("{e:.3}")),
                ]);
            }
        }
        (!table.rows.is_empty()).then_some(table)
    }

    /// Over answers with a number in them.
    fn median_error(self, mode: Mode, kind: Option<&str>) -> Option<f64> {
        let errors = self.values(mode, kind, |a| a.score.number?.relative_error);
        median(&errors.iter().map(|(_, error)| *error).collect::<Vec<_>>())
    }

    fn figures(self, mode: Mode, kinds: &[&str]) -> Value {
        let of_kind = |kind: Option<&str>| {
            let number = |value: fn(&NumberScores) -> f64| {
                json!(self.estimate(mode, kind, |a| a.score.number.as_ref().map(value)))
            };
            json!({
                "score": self.score(mode, kind),
                "within_25": number(|n| one_if(n.within_25)),
                "within_factor_2": number(|n| one_if(n.within_factor_2)),
                "mean_relative_accuracy": number(|n| n.mra),
                "median_relative_error": self.median_error(mode, kind),
            })
        };
        let by_kind = kinds
            .iter()
            .map(|kind| ((*kind).to_owned(), of_kind(Some(kind))));
        json!({
            "all": of_kind(None),
            "by_kind": by_kind.collect::<Map<_, _>>(),
            "no_answer": self.mean(mode, |a| one_if(is_silent(a))),
            "unreadable": self.mean(mode, |a| one_if(is_unreadable(a))),
            "maps_per_question": self.mean(mode, |a| a.n_maps as f64),
            "seconds_per_question": self.mean(mode, |a| a.seconds),
        })
    }
}

fn one_if(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn is_silent(answered: &Answered) -> bool {
    answered.answer.is_empty()
}

fn is_unreadable(answered: &Answered) -> bool {
    !is_silent(answered) && !answered.score.readable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: usize, kind: &str, scores: [f64; 2]) -> QaRow {
        let answered = |mode, value| Answered {
            mode,
            status: Status::Answered,
            answer: "x".into(),
            text: "x".into(),
            score: Score {
                value,
                readable: true,
                number: None,
            },
            n_maps: usize::from(mode == Mode::Interleaved),
            seconds: 2.0,
            judge_failure: None,
        };
        QaRow {
            name: "q".into(),
            image_idx: image,
            kind: kind.into(),
            question: "?".into(),
            truth: "x".into(),
            answers: vec![
                answered(Mode::Direct, scores[0]),
                answered(Mode::Interleaved, scores[1]),
            ],
        }
    }

    #[test]
    fn modes_stand_side_by_side() {
        let rows = [
            row(0, "count", [0.0, 1.0]),
            row(0, "nearer", [1.0, 1.0]),
            row(1, "nearer", [0.0, 0.0]),
            row(2, "nearer", [0.0, 1.0]),
        ];
        let modes = [Mode::Direct, Mode::Interleaved];
        let report = qa_report(&rows, &modes, &Bootstrap::default());
        let text = report.to_string();
        assert!(text.contains("| direct | 25.0 ("), "{text}");
        assert!(text.contains("| interleaved | 75.0 ("), "{text}");
        assert!(
            text.contains("| count | 1 | 0.0 (0.0 to 0.0) | 100.0 (100.0 to 100.0) |"),
            "{text}"
        );
        assert!(!text.contains("Numbers and lengths"), "{text}");
        let results = &report.results;
        assert_eq!(results["interleaved"]["all"]["score"]["mean"], 0.75);
        assert_eq!(results["differences"]["interleaved-direct"]["mean"], 0.5);
        assert_eq!(results["interleaved"]["maps_per_question"], 1.0);
        assert_eq!(results["direct"]["by_kind"]["nearer"]["score"]["n"], 3);
    }
}
