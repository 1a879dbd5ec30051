//! Time budgets: maps get the steps that fit, and nothing else changes.

use std::time::{Duration, Instant};

use cooper_model::engine::{
    Cancel, Control, Engine, FlowParams, MIN_FITTED_STEPS, Part, SamplingParams,
};
use cooper_model::reasoning::{
    Mode, PromptedEngine, Prompts, Settings, Status, Transcript, answer,
};

use crate::common::{image, model_options};

/// An engine of its own: its speed is measured.
fn engine() -> Engine {
    Engine::load(&model_options()).unwrap()
}

/// Both maps and an answer, and the seconds that they took.
fn ask(engine: &Engine, time_points: usize, budget: Option<Duration>) -> (Transcript, f64) {
    let settings = Settings {
        flow: FlowParams {
            time_points,
            ..FlowParams::default()
        },
        sampling: SamplingParams {
            max_new_tokens: 5,
            ..SamplingParams::default()
        },
        mode: Mode::Perception,
        ..Settings::default()
    };
    let begun = Instant::now();
    let cancel = budget.map_or_else(Cancel::default, |budget| Cancel::at(begun + budget));
    let prompts = &Prompts::built_in().unwrap();
    let model = PromptedEngine { engine, prompts };
    let mut control = Control::new(cancel, |_| {});
    let told = answer(model, &image(), "What is near?", &settings, &mut control);
    (told.unwrap(), begun.elapsed().as_secs_f64())
}

fn steps(transcript: &Transcript) -> Vec<usize> {
    transcript.evidence.iter().map(|map| map.steps).collect()
}

/// Everything but the times.
fn told(transcript: &Transcript) -> (Status, &[String], Vec<Vec<u8>>) {
    let maps = transcript.evidence.iter();
    let maps = maps.map(|map| map.image.as_raw().clone()).collect();
    (transcript.status, &transcript.turns, maps)
}

#[test]
fn an_ample_budget_changes_nothing() {
    let engine = engine();
    let (without, _) = ask(&engine, 7, None);
    let (with, _) = ask(&engine, 7, Some(Duration::from_secs(600)));
    assert_eq!(steps(&with), [6, 6]);
    assert_eq!(told(&with), told(&without));
}

#[test]
fn a_tight_budget_costs_steps_and_not_the_answer() {
    let engine = engine();
    let (_, whole) = ask(&engine, 1000, None);
    let speed = engine.speed();
    for part in [Part::FlowStep(3), Part::Decode, Part::Prefill] {
        assert!(speed.seconds(part).is_some(), "{part:?}");
    }
    // So little that no change of the machine's speed lets all steps fit.
    let budget = whole / 5.0;
    // Three times, since other processes may take the machine meanwhile.
    let told = std::iter::repeat_with(|| {
        let (transcript, seconds) = ask(&engine, 1000, Some(Duration::from_secs_f64(budget)));
        let taken = steps(&transcript);
        println!("{budget:.2} s of budget: {taken:?} steps, {seconds:.2} s");
        assert!(
            seconds < budget + 0.5,
            "{seconds} s, {budget} s were allowed"
        );
        // Together: what the first one leaves on a machine that got faster is the second one's.
        assert!(taken.iter().all(|n| *n >= MIN_FITTED_STEPS), "{taken:?}");
        assert!(taken.iter().sum::<usize>() < 2 * 800, "{taken:?}");
        transcript
    });
    let mut in_time = told.take(3).filter(|told| told.status != Status::Canceled);
    let transcript = in_time.next().unwrap();
    assert_eq!(transcript.evidence.len(), 2);

    // The evidence says how the map is drawn again.
    let (again, _) = ask(&engine, steps(&transcript)[0] + 1, None);
    assert_eq!(again.evidence[0].image, transcript.evidence[0].image);
}

#[test]
fn a_budget_that_is_too_small_returns_what_there_is() {
    let engine = engine();
    ask(&engine, 9, None);
    let (transcript, seconds) = ask(&engine, 1000, Some(Duration::ZERO));
    assert_eq!(
        (transcript.status, transcript.evidence.len()),
        (Status::Canceled, 0)
    );
    assert!(seconds < 0.5, "{seconds}");

    // Not less than a map is worth, however little time there is.
    let flow = FlowParams::default();
    let fitted = engine.fitted(&flow, (64, 64), Duration::ZERO);
    assert_eq!(fitted.n_steps(), MIN_FITTED_STEPS);
    let few = FlowParams {
        time_points: 3,
        ..flow
    };
    assert_eq!(engine.fitted(&few, (64, 64), Duration::ZERO), few);
}

#[test]
fn without_a_measured_speed_the_configured_steps_are_taken() {
    let flow = FlowParams::default();
    assert_eq!(engine().fitted(&flow, (64, 64), Duration::ZERO), flow);
}
