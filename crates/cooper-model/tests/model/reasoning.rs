//! The modes and the loop, with the model's words replaced by lines of a script.

use cooper_model::engine::{
    Cancel, Control, Engine, FlowParams, Generation, Images, KvContext, MapKind, Noise, Progress,
    Stage,
};
use cooper_model::reasoning::{
    GenerationContexts, Mode, PromptedEngine, Prompts, Settings, Status, TextGenerator, Transcript,
    answer_with,
};
use cooper_model::{Error, Result};

use crate::common::{ENGINE, image};

const DEPTH: &str = "<think> d </think>\n<depth-estimation>go</depth-estimation>";
const SEGMENT: &str = "<think> s </think>\n<segmentation>go</segmentation>";
const ANSWER: &str = "<think> ok </think>\n<answer> so \\boxed{2 m} </answer>";

struct Script {
    lines: Vec<&'static str>,
    lens: Vec<usize>,
    greedy: bool,
    ended: bool,
    canceled: bool,
}

impl Script {
    fn new(lines: &[&'static str]) -> Self {
        Self {
            lines: lines.to_vec(),
            lens: Vec::new(),
            greedy: false,
            ended: true,
            canceled: false,
        }
    }
}

impl TextGenerator for Script {
    fn generate(
        &mut self,
        _: &Engine,
        context: &KvContext,
        turn: usize,
        control: &mut Control,
    ) -> Result<Generation> {
        self.lens.push(context.len());
        let text = self.lines[turn - 1].to_string();
        control.report(Progress::Text(text.clone()));
        Ok(Generation {
            text,
            ended: self.ended,
            canceled: self.canceled,
            ..Generation::default()
        })
    }

    fn repeats_itself(&self) -> bool {
        self.greedy
    }
}

fn settings() -> Settings {
    Settings {
        flow: FlowParams {
            time_points: 2,
            ..FlowParams::default()
        },
        seed: 1,
        ..Settings::default()
    }
}

/// A question with the settings that it is answered with.
struct Question {
    text: String,
    settings: Settings,
}

impl Question {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            settings: settings(),
        }
    }

    fn in_mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }
}

fn ask(script: &mut Script, question: &Question, control: &mut Control) -> Result<Transcript> {
    let model = PromptedEngine {
        engine: &ENGINE,
        prompts: &Prompts::built_in().unwrap(),
    };
    let mut contexts = GenerationContexts::new(model, &question.settings, Noise::seeded(1));
    answer_with(script, &mut contexts, &image(), &question.text, control)
}

fn run(lines: &[&'static str]) -> (Transcript, Script) {
    let mut script = Script::new(lines);
    let question = Question::new("How far?");
    let transcript = ask(&mut script, &question, &mut Control::unattended()).unwrap();
    (transcript, script)
}

#[test]
fn maps_have_the_size_of_the_last_image_and_say_so() {
    let narrow = image::imageops::rotate90(&image());
    let settings = settings();
    let model = PromptedEngine {
        engine: &ENGINE,
        prompts: &Prompts::built_in().unwrap(),
    };
    let rule = ENGINE.vae_rule();
    for (images, last) in [
        (vec![image(), narrow.clone()], &narrow),
        (vec![narrow.clone(), image()], &image()),
    ] {
        let mut contexts = GenerationContexts::new(model, &settings, Noise::seeded(1));
        let transcript = answer_with(
            &mut Script::new(&[DEPTH, ANSWER]),
            &mut contexts,
            Images::new(&images[0], [&images[1]]),
            "How far?",
            &mut Control::unattended(),
        );
        let map = &transcript.unwrap().evidence[0];
        assert_eq!(
            map.image.dimensions(),
            rule.output_size(last.width(), last.height())
        );
        assert_eq!(map.image_idx, 1);
        assert!(!map.took.is_zero());
    }
}

#[test]
fn the_model_draws_looks_and_answers() {
    let (transcript, script) = run(&[DEPTH, SEGMENT, ANSWER]);
    assert_eq!(transcript.status, Status::Answered);
    assert_eq!(transcript.answer, "2 m");
    assert_eq!(transcript.turns, [DEPTH, SEGMENT, ANSWER]);
    let drawn: Vec<_> = transcript
        .evidence
        .iter()
        .map(|e| (e.kind, e.turn, e.steps))
        .collect();
    assert_eq!(
        drawn,
        [(MapKind::Depth, 1, 1), (MapKind::Segmentation, 2, 1)]
    );
    assert!(script.lens.is_sorted_by(|a, b| a < b), "{:?}", script.lens);
}

#[test]
fn a_call_in_the_last_turn_is_not_carried_out() {
    let (transcript, _) = run(&[DEPTH, DEPTH, SEGMENT]);
    assert_eq!(transcript.status, Status::NoAnswer);
    assert_eq!((transcript.turns.len(), transcript.evidence.len()), (3, 2));
    assert!(transcript.answer.is_empty());
}

#[test]
fn a_turn_that_asks_for_nothing_leaves_the_context_as_it_was() {
    let (transcript, script) = run(&["<think> hm", ANSWER]);
    assert_eq!(transcript.status, Status::Answered);
    assert_eq!(script.lens[0], script.lens[1]);
}

#[test]
fn a_greedy_speaker_is_not_asked_the_same_again() {
    let mut script = Script::new(&["<think> hm", ANSWER]);
    script.greedy = true;
    let question = Question::new("How far?");
    let transcript = ask(&mut script, &question, &mut Control::unattended()).unwrap();
    assert_eq!(
        (transcript.status, transcript.turns.len()),
        (Status::NoAnswer, 1)
    );
    script.ended = false;
    let transcript = ask(&mut script, &question, &mut Control::unattended()).unwrap();
    assert_eq!(transcript.status, Status::Truncated);
}

#[test]
fn perception_draws_both_maps_first_and_opens_the_answer() {
    let mut script = Script::new(&["3</answer> and more"]);
    let question = Question::new("How many?").in_mode(Mode::Perception);
    let mut told = String::new();
    let mut control = Control::new(Cancel::default(), |progress| {
        if let Progress::Text(delta) = progress {
            told.push_str(&delta);
        }
    });
    let transcript = ask(&mut script, &question, &mut control).unwrap();
    drop(control);
    assert_eq!(told, transcript.text(), "the deltas are the turn's text");
    assert_eq!(
        (transcript.status, transcript.answer.as_str()),
        (Status::Answered, "3")
    );
    let kinds: Vec<_> = transcript.evidence.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [MapKind::Depth, MapKind::Segmentation]);
    assert_eq!(transcript.text(), "<answer>3</answer> and more");
}

#[test]
fn text_answers_after_its_thoughts_and_direct_at_once() {
    for (mode, line, expected) in [
        (
            Mode::Text,
            "<think> a </think> left",
            (Status::Answered, "left"),
        ),
        (Mode::Text, "no tags", (Status::Answered, "no tags")),
        (Mode::Text, "<think> a </think> ", (Status::NoAnswer, "")),
        (Mode::Direct, "\\boxed{7}", (Status::Answered, "7")),
    ] {
        let mut script = Script::new(&[line]);
        let question = Question::new("Where?").in_mode(mode);
        let transcript = ask(&mut script, &question, &mut Control::unattended()).unwrap();
        assert_eq!(
            (transcript.status, transcript.answer.as_str()),
            expected,
            "{mode:?} {line}"
        );
        assert!(transcript.evidence.is_empty());
    }
}

#[test]
fn a_stop_while_drawing_returns_what_there_is() {
    let cancel = Cancel::default();
    let mut control = Control::new(cancel.clone(), |progress| {
        if matches!(progress, Progress::Stage(Stage::Segmentation, _)) {
            cancel.cancel();
        }
    });
    let mut script = Script::new(&[DEPTH, SEGMENT, ANSWER]);
    let transcript = ask(&mut script, &Question::new("How far?"), &mut control).unwrap();
    assert_eq!(transcript.status, Status::Canceled);
    assert_eq!((transcript.turns.len(), transcript.evidence.len()), (2, 1));
}

#[test]
fn stages_are_told_in_order() {
    let mut stages = Vec::new();
    let mut control = Control::new(Cancel::default(), |progress| {
        if let Progress::Stage(stage, turn) = progress {
            stages.push((stage, turn));
        }
    });
    ask(
        &mut Script::new(&[DEPTH, ANSWER]),
        &Question::new("How far?"),
        &mut control,
    )
    .unwrap();
    drop(control);
    assert_eq!(
        stages,
        [
            (Stage::Prefill, 0),
            (Stage::Thinking, 1),
            (Stage::Depth, 1),
            (Stage::Thinking, 2),
            (Stage::Answering, 2)
        ]
    );
}

#[test]
fn a_stop_behind_an_answer_keeps_the_answer() {
    let mut script = Script::new(&[ANSWER]);
    (script.ended, script.canceled) = (false, true);
    let transcript = ask(
        &mut script,
        &Question::new("How far?"),
        &mut Control::unattended(),
    );
    let transcript = transcript.unwrap();
    assert_eq!(
        (transcript.status, transcript.answer.as_str()),
        (Status::Answered, "2 m")
    );
    let mut script = Script::new(&["3</answer>"]);
    (script.ended, script.canceled) = (false, true);
    let question = Question::new("How many?").in_mode(Mode::Perception);
    let transcript = ask(&mut script, &question, &mut Control::unattended()).unwrap();
    assert_eq!(
        (transcript.status, transcript.answer.as_str()),
        (Status::Answered, "3")
    );
}

#[test]
fn an_empty_or_endless_question_is_refused() {
    for text in ["", " \n", &"9 ".repeat(5000)] {
        let error = ask(
            &mut Script::new(&[]),
            &Question::new(text),
            &mut Control::unattended(),
        );
        assert!(matches!(error, Err(Error::InvalidInput { .. })));
    }
}
