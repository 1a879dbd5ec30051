//! Work that is done once: counted, and compared with doing it again.

use cooper_model::engine::{
    Control, Engine, FlowParams, Generation, GuidanceContexts, Images, KvContext, MapKind,
    ModelOptions, Noise, SamplingParams, Views, WorkDone,
};
use cooper_model::perception::{MapRequest, draw_map_of, estimate_depth, segment};
use cooper_model::reasoning::{Mode, PromptedEngine, Prompts, Settings, Transcript, answer};
use image::RgbImage;

use crate::common::{difference, image, model_options};

/// An engine of its own: others would count too.
fn engine() -> Engine {
    Engine::load(&model_options()).unwrap()
}

fn settings(mode: Mode) -> Settings {
    Settings {
        flow: FlowParams {
            time_points: 3,
            ..FlowParams::default()
        },
        sampling: SamplingParams {
            max_new_tokens: 5,
            ..SamplingParams::default()
        },
        mode,
        max_turns: 1,
        ..Settings::default()
    }
}

fn ask(engine: &Engine, image: &RgbImage, words: &str, mode: Mode, seed: u64) -> Transcript {
    let prompts = &Prompts::built_in().unwrap();
    let settings = Settings {
        seed,
        ..settings(mode)
    };
    let model = PromptedEngine { engine, prompts };
    let control = &mut Control::unattended();
    answer(model, image, words, &settings, control).unwrap()
}

fn depth(engine: &Engine, image: &RgbImage) -> Vec<f32> {
    let instruction = &Prompts::built_in().unwrap().depth_instruction;
    let request = MapRequest {
        instruction,
        flow: &settings(Mode::Direct).flow,
        seed: 0,
    };
    let control = &mut Control::unattended();
    estimate_depth(engine, &request, image, control)
        .unwrap()
        .values
}

/// What `work` added.
fn counted(engine: &Engine, work: impl FnOnce()) -> WorkDone {
    let before = engine.work_done();
    work();
    let after = engine.work_done();
    WorkDone {
        vae_encoded: after.vae_encoded - before.vae_encoded,
        vit_encoded: after.vit_encoded - before.vit_encoded,
        image_tokens: after.image_tokens - before.image_tokens,
        text_tokens: after.text_tokens - before.text_tokens,
        flow_branches: after.flow_branches - before.flow_branches,
        flow_forecasts: after.flow_forecasts - before.flow_forecasts,
    }
}

fn image_work(work: &WorkDone) -> (u64, u64, bool) {
    (work.vae_encoded, work.vit_encoded, work.image_tokens > 0)
}

#[test]
fn the_second_question_on_a_frame_does_no_image_work() {
    for (mode, vae) in [(Mode::Interleaved, 1), (Mode::Text, 0), (Mode::Direct, 0)] {
        let (engine, frame) = (engine(), image());
        let of = |words: &str, seed| {
            let work = counted(&engine, || drop(ask(&engine, &frame, words, mode, seed)));
            assert!(work.text_tokens > 0);
            image_work(&work)
        };
        assert_eq!(of("Which is nearer?", 0), (vae, 1, true), "{mode:?}");
        assert_eq!(of("How many chairs are there?", 0), (0, 0, false));
        // Other noise gives other latents of the same moments; without latents nothing is random.
        assert_eq!(of("Which is nearer?", 1), (0, 0, vae == 1), "{mode:?}");
    }
}

#[test]
fn several_images_are_read_one_after_another() {
    let engine = engine();
    let (left, right) = (image(), image::imageops::flip_horizontal(&image()));
    let read = |images: Images| {
        let (noise, control) = (&mut Noise::seeded(3), &Control::unattended());
        let views = Views::VaeAndVit;
        let context = engine.read_frame(Some("Look."), images, views, noise, control);
        context.unwrap()
    };
    let both = || Images::new(&left, [&right]);
    let mut by_hand = KvContext::default();
    engine.prefill_text(&mut by_hand, "Look.").unwrap();
    let noise = &mut Noise::seeded(3);
    for image in [&left, &right] {
        let added = engine.prefill_image(&mut by_hand, image, Views::VaeAndVit, noise);
        added.unwrap();
    }
    engine.forget();
    let first = read(both());
    assert_same(&engine, &by_hand, &first, 0.0);
    // The same again is a fork; what begins the same is read on from there.
    let forked = counted(&engine, || drop(read(both())));
    assert_eq!(
        (image_work(&forked), forked.text_tokens),
        ((0, 0, false), 0)
    );
    let alone = counted(&engine, || drop(read(Images::from(&left))));
    assert_eq!(image_work(&alone), (0, 0, false));
    let other = counted(&engine, || drop(read(Images::new(&left, [&left]))));
    assert_eq!(
        image_work(&other),
        (0, 0, true),
        "encoded before, read anew"
    );
    let swapped = read(Images::new(&right, [&left]));
    let layer = |context: &KvContext| context.layer(0).unwrap().unwrap().0;
    assert!(difference(&layer(&first), &layer(&swapped)) > 0.0);
}

#[test]
fn too_many_images_are_refused() {
    // A model that can read less, so that it is full soon.
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model_options().dir).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let config = dir.path().join("llm_config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("32768"));
    std::fs::write(&config, text.replace("32768", "1000")).unwrap();
    let options = ModelOptions {
        dir: dir.path().into(),
        ..model_options()
    };
    let (engine, frame) = (Engine::load(&options).unwrap(), image());
    let (noise, control) = (&mut Noise::seeded(3), &Control::unattended());
    let read = |n: usize, noise: &mut Noise| {
        let further = std::iter::repeat_n(&frame, n - 1);
        let images = Images::new(&frame, further);
        engine.read_frame(None, images, Views::Vit, noise, control)
    };
    let n_tokens = read(1, noise).unwrap().len();
    let n_fit = engine.max_tokens() / n_tokens;
    assert_eq!(read(n_fit, noise).unwrap().len(), n_fit * n_tokens);
    let error = read(n_fit + 1, noise).unwrap_err();
    assert!(
        error.to_string().starts_with("context: expected at most"),
        "{error}"
    );
}

#[test]
fn another_image_is_work() {
    let engine = engine();
    depth(&engine, &image());
    let other = image::imageops::flip_horizontal(&image());
    let work = counted(&engine, || drop(depth(&engine, &other)));
    assert_eq!(image_work(&work), (1, 1, true));
}

#[test]
fn maps_and_questions_share_a_frame() {
    let (engine, frame) = (engine(), image());
    depth(&engine, &frame);
    let work = counted(&engine, || {
        let request = MapRequest {
            instruction: &Prompts::built_in().unwrap().segmentation_instruction,
            flow: &settings(Mode::Direct).flow,
            seed: 0,
        };
        segment(&engine, &request, &frame, &mut Control::unattended()).unwrap();
    });
    assert_eq!(image_work(&work), (0, 0, false));
    // A system prompt stands before the image: its blocks are read anew, but not encoded.
    let asked = || {
        drop(ask(
            &engine,
            &frame,
            "Which is nearer?",
            Mode::Interleaved,
            0,
        ))
    };
    assert_eq!(image_work(&counted(&engine, asked)), (0, 0, true));
}

#[test]
fn what_was_kept_changes_no_result() {
    let (used, frame) = (engine(), image());
    let none = engine();
    none.keep_at_most(0);
    for engine in [&used, &none] {
        ask(
            engine,
            &frame,
            "How many chairs are there?",
            Mode::Interleaved,
            0,
        );
        depth(engine, &frame);
    }
    let text = |engine: &Engine| {
        let transcript = ask(engine, &frame, "Which is nearer?", Mode::Interleaved, 0);
        transcript.turns
    };
    let fresh = engine();
    assert_eq!(text(&used), text(&fresh));
    assert_eq!(text(&none), text(&fresh));
    assert_eq!(depth(&used, &frame), depth(&engine(), &frame));
    let work = counted(&none, || drop(depth(&none, &frame)));
    assert_eq!(image_work(&work), (1, 1, true));
}

#[test]
fn a_forked_frame_is_a_fresh_one() {
    let engine = engine();
    let read = |engine: &Engine| {
        let (noise, control) = (&mut Noise::seeded(3), &Control::unattended());
        let views = Views::VaeAndVit;
        let frame = engine.read_frame(Some("Look."), &image(), views, noise, control);
        let mut context = frame.unwrap();
        engine
            .add_user_text(&mut context, "Which is nearer?")
            .unwrap();
        context
    };
    let (first, forked) = (read(&engine), read(&engine));
    engine.forget();
    let fresh = read(&engine);
    let mut by_hand = KvContext::default();
    engine.prefill_text(&mut by_hand, "Look.").unwrap();
    let (views, noise) = (Views::VaeAndVit, &mut Noise::seeded(3));
    engine
        .prefill_image(&mut by_hand, &image(), views, noise)
        .unwrap();
    engine
        .add_user_text(&mut by_hand, "Which is nearer?")
        .unwrap();
    for other in [first, forked, by_hand] {
        assert_same(&engine, &fresh, &other, 0.0);
    }
}

fn assert_same(engine: &Engine, a: &KvContext, b: &KvContext, tolerance: f32) {
    assert_eq!((a.len(), a.next_position()), (b.len(), b.next_position()));
    for layer_idx in 0..engine.config().llm.num_hidden_layers {
        let [a, b] = [a, b].map(|context| context.layer(layer_idx).unwrap().unwrap());
        assert!(difference(&a.0, &b.0).max(difference(&a.1, &b.1)) <= tolerance);
    }
}

#[test]
fn no_branch_is_computed_that_guidance_does_not_need() {
    let (engine, contexts) = (engine(), GuidanceContexts::default());
    let branches = |text, image, interval| {
        let flow = FlowParams {
            time_points: 11,
            guidance_text: text,
            guidance_image: image,
            guidance_interval: interval,
            timestep_shift: 1.0,
            ..FlowParams::default()
        };
        let draw = || {
            let (noise, control) = (&mut Noise::seeded(0), &mut Control::unattended());
            let drawn = engine.sample_latent(&contexts, (64, 48), &flow, noise, control);
            drop(drawn.unwrap());
        };
        counted(&engine, draw).flow_branches
    };
    let always = [0.0, 1.0];
    assert_eq!(branches(4.0, 2.0, always), 30);
    assert_eq!(branches(4.0, 1.0, always), 20);
    assert_eq!(branches(1.0, 2.0, always), 10);
    // Times 1, 0.9, … 0.1: six lie above 0.45.
    assert_eq!(branches(4.0, 2.0, [0.45, 1.0]), 6 * 3 + 4);
}

#[test]
fn a_map_of_a_kept_frame_is_the_map_of_a_new_one() {
    let engine = engine();
    let request = MapRequest {
        instruction: &Prompts::built_in().unwrap().depth_instruction,
        flow: &settings(Mode::Direct).flow,
        seed: 9,
    };
    let draw = || {
        let control = &mut Control::unattended();
        let map = draw_map_of(&engine, MapKind::Depth, &request, &image(), control);
        map.unwrap().latent
    };
    let (first, again) = (draw(), draw());
    assert_eq!(difference(&first, &again), 0.0);
}

#[test]
fn a_turn_that_was_written_is_not_read_again() {
    let engine = engine();
    let mut context = KvContext::default();
    engine
        .prefill_text(&mut context, "Which is nearer?")
        .unwrap();
    let read = |text: &str, generation: &Generation| {
        let (mut anew, mut known) = (context.clone(), context.clone());
        engine.prefill_text(&mut anew, text).unwrap();
        let work = counted(&engine, || {
            engine.prefill_turn(&mut known, text, generation).unwrap();
        });
        assert_same(&engine, &anew, &known, 1e-5);
        work.text_tokens
    };
    let text = "the blue ball is near";
    let mut ids = vec![engine.tokenizer().control.im_start];
    ids.extend(engine.tokenizer().encode(text).unwrap());
    let mut generated = context.clone();
    for id in &ids {
        engine
            .model()
            .prefill_tokens(&mut generated, &[*id])
            .unwrap();
    }
    let generation = Generation {
        ids: ids.clone(),
        text: text.into(),
        ended: true,
        context: Some(generated.clone()),
        ..Generation::default()
    };
    // The end token alone.
    assert_eq!(read(text, &generation), 1);
    // What was said behind the part that agrees is forgotten.
    let other = "the blue ball is far, far away";
    let n = engine.tokenizer().encode(other).unwrap().len() as u64 + 2;
    let n_read = read(other, &generation);
    assert!((2..n - 3).contains(&n_read), "{n_read} of {n}");
    // A generation without a context, or with other ids.
    let deaf = Generation {
        context: None,
        ..generation.clone()
    };
    assert_eq!(read(text, &deaf), ids.len() as u64 + 1);
    let odd = Generation {
        ids: ids.iter().rev().copied().collect(),
        ..generation
    };
    assert_eq!(read(text, &odd), ids.len() as u64 + 1);
}

#[test]
fn what_the_model_writes_is_heard() {
    let engine = engine();
    let mut context = KvContext::default();
    engine
        .prefill_text(&mut context, "Which is nearer?")
        .unwrap();
    let params = settings(Mode::Direct).sampling;
    let generation = engine.generate_text(&context, &params, 0, &mut Control::unattended());
    let generation = generation.unwrap();
    let generated = generation.context.clone().unwrap();
    // The last one was not read before the limit ended the text.
    assert_eq!(generated.len() - context.len(), params.max_new_tokens);
    assert_eq!(generation.ids.len(), params.max_new_tokens + 1);
    let (mut anew, mut known) = (context.clone(), context.clone());
    engine.prefill_text(&mut anew, &generation.text).unwrap();
    engine
        .prefill_turn(&mut known, &generation.text, &generation)
        .unwrap();
    assert_same(&engine, &anew, &known, 1e-5);
}
