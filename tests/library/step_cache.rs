//! The step cache: how near its drawings are to exact ones, that guidance is in them, and what its self-test does.

use std::time::{Duration, Instant};

use cooper_model::Error;
use cooper_model::engine::{
    Cancel, Control, Engine, FlowParams, GuidanceContexts, KvContext, Noise, Progress,
    SampledLatent, Views,
};
use cooper_model::flow::relative_error;
use cooper_perception::pipeline::{
    CACHE_TOLERANCE, LoadedModel, ModelRunner, Settings, Task, TaskResult,
};

use crate::common::{ENGINE, difference, image, model_options};

const SIZE: (u32, u32) = (64, 48);

fn flow(cache_threshold: f64) -> FlowParams {
    FlowParams {
        cache_threshold,
        ..FlowParams::default()
    }
}

fn contexts(engine: &Engine) -> GuidanceContexts {
    let (mut without_text, mut noise) = (KvContext::default(), Noise::seeded(7));
    let views = Views::VaeAndVit;
    engine
        .prefill_image(&mut without_text, &image(), views, &mut noise)
        .unwrap();
    let (mut full, mut without_image) = (without_text.clone(), KvContext::default());
    for context in [&mut full, &mut without_image] {
        engine.prefill_text(context, "Draw the depth.").unwrap();
    }
    GuidanceContexts {
        full,
        without_text,
        without_image,
    }
}

fn draw(engine: &Engine, flow: &FlowParams) -> SampledLatent {
    let (noise, control) = (&mut Noise::seeded(3), &mut Control::unattended());
    let drawn = engine.sample_latent(&contexts(engine), SIZE, flow, noise, control);
    drawn.unwrap()
}

fn error(got: &SampledLatent, expected: &SampledLatent) -> f64 {
    relative_error(&got.tokens, &expected.tokens).unwrap()
}

#[test]
fn the_error_stays_below_the_threshold_and_falls_with_it() {
    let exact = draw(&ENGINE, &flow(0.0));
    assert_eq!(exact.n_computed, 49);
    let mut n_before = 0;
    for threshold in [0.3, 0.1, 0.03] {
        let cached = draw(&ENGINE, &flow(threshold));
        let error = error(&cached, &exact);
        assert!(error < threshold / 2.0, "{threshold}: {error}");
        let n = cached.n_computed;
        assert!(n_before < n && n < 49 / 2, "{threshold}: {n} computed");
        n_before = n;
    }
}

#[test]
fn guidance_is_in_what_is_cached() {
    let exact = draw(&ENGINE, &flow(0.0));
    let cached = draw(&ENGINE, &flow(0.1));
    assert!(cached.n_computed < 15, "{}", cached.n_computed);
    let scales = [(1.0, 1.0), (4.0, 1.0)];
    for (guidance_text, guidance_image) in scales {
        let poorer = FlowParams {
            guidance_text,
            guidance_image,
            ..flow(0.0)
        };
        let far = error(&draw(&ENGINE, &poorer), &exact);
        let near = error(&cached, &exact);
        assert!(near < 0.03 && far > 0.1, "{scales:?}: {near} {far}");
    }
}

#[test]
fn steps_that_guidance_leaves_are_computed() {
    let part = |threshold| FlowParams {
        guidance_interval: [0.4, 1.0],
        ..flow(threshold)
    };
    let (exact, cached) = (draw(&ENGINE, &part(0.0)), draw(&ENGINE, &part(0.1)));
    assert!(cached.n_computed < 25, "{}", cached.n_computed);
    assert!(error(&cached, &exact) < 0.05, "{}", error(&cached, &exact));
}

#[test]
fn what_is_forecast_is_counted_and_told_as_progress() {
    let engine = Engine::load(&model_options()).unwrap();
    let contexts = contexts(&engine);
    let mut fractions = Vec::new();
    let mut control = Control::new(Cancel::default(), |progress| {
        if let Progress::Fraction(share) = progress {
            fractions.push(share);
        }
    });
    let noise = &mut Noise::seeded(3);
    let drawn = engine.sample_latent(&contexts, SIZE, &flow(0.1), noise, &mut control);
    let n_computed = drawn.unwrap().n_computed as u64;
    drop(control);
    let work = engine.work_done();
    assert_eq!(work.flow_branches, 3 * n_computed);
    assert_eq!(work.flow_forecasts, 49 - n_computed);
    assert_eq!((fractions.len(), fractions.last()), (49, Some(&1.0)));
}

#[test]
fn a_stop_acts_at_a_forecast_step_too() {
    let cancel = Cancel::default();
    let mut n_steps = 0;
    let mut control = Control::new(cancel.clone(), |_| {
        n_steps += 1;
        if n_steps == 40 {
            cancel.cancel();
        }
    });
    let (contexts, noise) = (contexts(&ENGINE), &mut Noise::seeded(3));
    let drawn = ENGINE.sample_latent(&contexts, SIZE, &flow(0.3), noise, &mut control);
    assert!(matches!(drawn, Err(Error::Canceled)));
    drop(control);
    assert_eq!(n_steps, 40);
}

// --- The self-test ---------------------------------------------------------------------------------------------------

fn settings(cache_threshold: f64) -> Settings {
    Settings {
        flow: flow(cache_threshold),
        ..Settings::default()
    }
}

fn perceiver() -> LoadedModel {
    LoadedModel::load(&model_options(), None).unwrap()
}

/// A depth map, and how many of its steps were forecast.
fn depth(model: &mut LoadedModel, settings: &Settings, cancel: Cancel) -> (Vec<f32>, u64) {
    let before = model.engine.work_done().flow_forecasts;
    let mut control = Control::new(cancel, |_| {});
    let settings = Settings {
        seed: 3,
        ..settings.clone()
    };
    let outcome = model.run_task(&(&image()).into(), &Task::Depth, &settings, &mut control);
    let Ok(TaskResult::Depth(map)) = outcome else {
        panic!("no map: {outcome:?}");
    };
    (map.values, model.engine.work_done().flow_forecasts - before)
}

/// Far above what any user sets: the golden model's map is then off by more than the tolerance.
const ABSURD: f64 = 1e3;

#[test]
fn a_cache_that_fails_is_turned_off_and_says_so() {
    let mut model = perceiver();
    model
        .warm_up(&settings(ABSURD), &Cancel::default())
        .unwrap();
    let told = model.info().cache_remark().unwrap();
    assert!(
        told.contains("turned off") && told.contains("cache_threshold 1000"),
        "{told}"
    );
    let (exact, _) = depth(&mut model, &settings(0.0), Cancel::default());
    model
        .warm_up(&settings(ABSURD), &Cancel::default())
        .unwrap();
    assert_eq!(
        depth(&mut model, &settings(ABSURD), Cancel::default()),
        (exact, 0)
    );
}

#[test]
fn a_cache_that_passes_is_used() {
    let mut model = perceiver();
    model.warm_up(&settings(0.1), &Cancel::default()).unwrap();
    assert!(model.info().cache_test.unwrap().has_passed());
    let (cached, n_forecast) = depth(&mut model, &settings(0.1), Cancel::default());
    assert!(n_forecast > 30, "{n_forecast}");
    let (exact, none) = depth(&mut model, &settings(0.0), Cancel::default());
    assert_eq!(none, 0);
    let off: f32 = cached.iter().zip(&exact).map(|(a, b)| (a - b).abs()).sum();
    let off = off / cached.len() as f32;
    assert!(0.0 < off && off < 0.01, "{off}");
    assert_eq!(model.info().cache_test, None, "of the newest settings");
}

#[test]
fn other_settings_are_tested_by_the_next_request_without_a_deadline() {
    let mut model = perceiver();
    model.warm_up(&settings(0.0), &Cancel::default()).unwrap();
    let hour = Duration::from_secs(3600);
    let waits = |model: &mut LoadedModel, threshold| {
        depth(
            model,
            &settings(threshold),
            Cancel::at(Instant::now() + hour),
        )
    };
    assert_eq!(waits(&mut model, 0.1).1, 0, "untested, so not used");
    assert!(
        depth(&mut model, &settings(0.1), Cancel::default()).1 > 60,
        "the test and the map"
    );
    assert!((30..45).contains(&waits(&mut model, 0.1).1), "tested");
    depth(&mut model, &settings(ABSURD), Cancel::default());
    assert!(model.info().cache_remark().is_some());
    assert_eq!(depth(&mut model, &settings(ABSURD), Cancel::default()).1, 0);
}

#[test]
fn without_a_warm_up_the_threshold_is_trusted() {
    let (_, n_forecast) = depth(&mut perceiver(), &settings(ABSURD), Cancel::default());
    assert!(n_forecast > 30, "{n_forecast}");
}

#[test]
fn the_test_can_be_stopped() {
    let mut model = perceiver();
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = model.warm_up(&settings(0.1), &cancel);
    assert!(matches!(stopped, Err(Error::Canceled)));
}

#[test]
fn the_tolerance_is_smaller_than_what_it_would_let_slip() {
    let exact = draw(&ENGINE, &flow(0.0));
    let unguided = FlowParams {
        guidance_text: 1.0,
        ..flow(0.0)
    };
    assert!(error(&draw(&ENGINE, &unguided), &exact) > 2.0 * CACHE_TOLERANCE);
    let again = draw(&ENGINE, &flow(0.0));
    assert_eq!(difference(&again.tokens, &exact.tokens), 0.0);
}
