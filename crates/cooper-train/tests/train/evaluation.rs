//! Evaluation from data on a disk to scores: sources, protocol, judge. The program is in `evaluation_program.rs`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooper_model::reasoning::answers::{AnswerForm, LengthUnit, Reading, Truth};
use cooper_scenes::{SceneConfig, Split};
use cooper_train::evaluation::depth::{
    Crop, DepthProtocol, DepthSource, DepthTask, DepthTruth, gradient,
};
use cooper_train::evaluation::qa::{Extracted, Judge, JudgeOptions, QaItem, QaSet};
use cooper_train::evaluation::{Broken, SceneSet};
use image::{GrayImage, ImageBuffer, Luma};

use crate::evaluation_support::{endpoint, folder, image, png, reply};

pub fn names(broken: &[Broken]) -> Vec<&str> {
    broken.iter().map(|b| b.name.as_str()).collect()
}

pub fn scenes(n: usize) -> Box<SceneSet> {
    Box::new(SceneSet {
        config: SceneConfig::default(),
        split: Split::Test,
        n,
    })
}

fn npy(descr: &str, (height, width): (usize, usize), data: &[u8]) -> Vec<u8> {
    let header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({height}, {width}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

// ---------------------------------------------------------------------------------------------------------- depth

#[test]
fn a_folder_pairs_images_with_depth_of_every_kind() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    for name in ["a.png", "b.png", "c.png", "alone.png", "grey8.png"] {
        std::fs::write(path(name), png(&image(1))).unwrap();
    }
    let millimetres = ImageBuffer::<Luma<u16>, _>::from_fn(24, 16, |x, _| Luma([1000 + x as u16]));
    millimetres.save(path("a_depth.png")).unwrap();
    let metres: Vec<u8> = (0..24 * 16)
        .flat_map(|i| (1.0 + (i % 24) as f32 / 1000.0).to_le_bytes())
        .collect();
    std::fs::write(path("b.npy"), npy("<f4", (16, 24), &metres)).unwrap();
    let whole: Vec<u8> = (0..24 * 16)
        .flat_map(|i| (1000 + i as u16 % 24).to_le_bytes())
        .collect();
    std::fs::write(path("c_depth.npy"), npy("<u2", (16, 24), &whole)).unwrap();
    GrayImage::new(24, 16)
        .save(path("grey8_depth.png"))
        .unwrap();
    let (source, broken) = DepthSource::files(dir.path(), 1000.0).unwrap();
    assert_eq!(names(&broken), ["alone"]);
    assert!(
        broken[0].why.contains("alone_depth.png"),
        "{}",
        broken[0].why
    );
    let samples: Vec<_> = (0..source.len()).map(|i| source.load(i)).collect();
    assert_eq!(samples.len(), 4);
    for (sample, name) in samples.iter().zip(["a", "b", "c"]) {
        let sample = sample.as_ref().unwrap();
        assert_eq!(sample.name, name);
        assert!((sample.truth.metres[23] - 1.023).abs() < 1e-6, "{name}");
    }
    let error = samples[3].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("expected 16-bit grey for depth, got 8 bits"),
        "{error}"
    );
}

#[test]
fn a_table_names_its_files_and_its_broken_rows() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("rgb")).unwrap();
    std::fs::write(dir.path().join("rgb/a.png"), png(&image(1))).unwrap();
    let depth = ImageBuffer::<Luma<u16>, _>::from_pixel(24, 16, Luma([512u16]));
    depth.save(dir.path().join("d.png")).unwrap();
    let table = dir.path().join("depth.jsonl");
    let rows = "{\"rgb_image\": \"rgb/a.png\", \"depth_image\": \"d.png\", \"id\": 3}\n\n\
                {\"rgb_image\": \"rgb/a.png\"}\nnothing\n\
                {\"rgb_image\": \"none.png\", \"depth_image\": \"d.png\"}\n";
    std::fs::write(&table, rows).unwrap();
    let (source, broken) = DepthSource::files(&table, 256.0).unwrap();
    assert_eq!(names(&broken), ["depth.jsonl:3", "depth.jsonl:4"]);
    assert!(broken[0].why.contains("depth_image"), "{}", broken[0].why);
    assert_eq!(source.load(0).unwrap().truth.metres[0], 2.0);
    assert!(source.load(1).unwrap_err().to_string().contains("none.png"));
    assert!(DepthSource::files(&dir.path().join("none.jsonl"), 1.0).is_err());
}

#[test]
fn only_the_crop_counts() {
    let truth = DepthTruth {
        width: 640,
        height: 480,
        metres: vec![2.0; 640 * 480],
    };
    let count = |crop| {
        let range_m = Crop::range_m(crop);
        let task = DepthTask::new(&truth, &DepthProtocol { range_m, crop }).unwrap();
        let (first, last) = (task.valid()[0], task.valid()[task.valid().len() - 1]);
        (task.valid().len(), first, last)
    };
    assert_eq!(count(Crop::None), (640 * 480, 0, 640 * 480 - 1));
    assert_eq!(
        count(Crop::Nyu),
        (426 * 560, 45 * 640 + 41, 470 * 640 + 600)
    );
    // Rows 159 to 437, columns 23 to 615.
    assert_eq!(
        count(Crop::Kitti),
        (279 * 593, 159 * 640 + 23, 437 * 640 + 615)
    );
}

#[test]
fn scenes_are_a_source_whose_floor_is_a_gradient() {
    let source = DepthSource::Scenes(scenes(3));
    let sample = source.load(2).unwrap();
    let protocol = DepthProtocol {
        range_m: [0.0, 10.0],
        crop: Crop::None,
    };
    let task = DepthTask::new(&sample.truth, &protocol).unwrap();
    assert_eq!(task.valid().len(), 128 * 96);
    let encoded: Vec<f32> = sample.truth.metres.iter().map(|m| m / 10.0).collect();
    for metres in [task.aligned(&encoded), task.metric(&encoded)] {
        assert!(task.scores(&metres).unwrap().abs_rel < 1e-6);
    }
    let guessed = task.scores(&task.aligned(&gradient(128, 96))).unwrap();
    assert!((0.2..0.99).contains(&guessed.delta1), "{guessed:?}");
}

// ----------------------------------------------------------------------------------------------------------- qa

#[test]
fn json_lines_are_questions_or_broken() {
    let dir = folder();
    std::fs::write(dir.path().join("a.png"), png(&image(1))).unwrap();
    let file = dir.path().join("qa.jsonl");
    let rows = r#"{"image": "a.png", "question": "Which?", "answer": "B", "kind": "k", "choices": ["red", "blue"]}
{"image": "a.png", "question": "How far?", "answer": "2.4 m", "value": 2.37, "unit": "m"}
{"image": "b.png", "question": "How many?", "answer": 3}
{"image": "a.png", "question": " ", "answer": "x"}
{"image": "a.png", "question": "Which?", "answer": "C", "choices": ["red", "blue"]}
{"image": "a.png", "question": "No answer"}
{"image": "a.png", "question": "Is it?", "answer": true, "type": "yes_no"}
"#;
    std::fs::write(&file, rows).unwrap();
    let set = QaSet::table(&file, None).unwrap();
    assert_eq!(
        names(&set.broken),
        ["qa.jsonl:6", "qa.jsonl:4", "qa.jsonl:5"]
    );
    let [which, far, many, is] = &set.items[..] else {
        panic!("{:?}", set.items);
    };
    assert_eq!(which.question, "Which? (A) red (B) blue");
    assert_eq!((which.kind.as_str(), many.kind.as_str()), ("k", "all"));
    let length = AnswerForm::Length {
        cm: 237.0,
        unit: LengthUnit::Meter,
    };
    assert_eq!(far.truth.form, length);
    assert_eq!(many.truth.form, AnswerForm::Integer(3.0));
    assert_eq!(is.truth.text, "yes");
    assert_eq!((which.image_idx, far.image_idx, many.image_idx), (0, 0, 1));
    assert_eq!(set.image(0).unwrap(), image(1));
    assert!(set.image(1).unwrap_err().to_string().contains("b.png"));
    let reworded = set.reworded("Look. {question} Be brief.");
    assert_eq!(reworded.items[1].question, "Look. How far? Be brief.");
}

#[test]
fn vlmevalkits_tables_are_questions_or_broken() {
    let dir = folder();
    std::fs::write(dir.path().join("p.png"), png(&image(9))).unwrap();
    let [one, two] = [1, 2].map(|n| STANDARD.encode(png(&image(n))));
    let file = dir.path().join("bench.tsv");
    let header =
        "index\timage\timage_path\tquestion\thint\tA\tB\tanswer\tcategory\ttype\tdata_source";
    let rows = [
        format!("0\t{one}\t\t\"Which\tone\nis \"\"it\"\"?\"\tlook\tred\tblue\tB\tcolour\t\t"),
        "1\t0\t\tAnd this?\tnan\tleft\tright\tleft\tside\t\t".into(),
        format!("2\t{two}\t\tHow far?\t\t\t\t(1.5, 'meters')\tfar\t\t"),
        "3\t\t['p.png']\tIs it?\t\t\t\tYes\tthere\tYN\tBLINK".into(),
        "4\t\tp.png\tHow many?\t\t\t\t4\tmany\tNumber_Int\tSpatialBench".into(),
        "5\t\t['p.png', 'q.png']\tBoth?\t\t\t\tYes\tthere\t\t".into(),
        "6\t77\t\tNo such row?\t\t\t\tYes\tthere\t\t".into(),
        format!("7\t{one}\t\tNo answer?\t\t\t\t\tthere\t\t"),
        format!("8\t{}!\t\tBroken image?\t\t\t\tNo\tthere\t\t", &one[..100]),
        "9\tshort".into(),
    ];
    std::fs::write(&file, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    let set = QaSet::table(&file, None).unwrap();
    assert_eq!(
        names(&set.broken),
        ["index 5", "index 7", "index 9", "index 6"]
    );
    let questions: Vec<&str> = set.items.iter().map(|i| i.question.as_str()).collect();
    assert_eq!(
        questions[0],
        "Hint: look\nQuestion: Which\tone\nis \"it\"?\nOptions:\nA. red\nB. blue\n\
         Answer with the letter of the right option."
    );
    assert_eq!(questions[2], "How far?");
    assert_eq!(questions[3], "Is it?\nAnswer with Yes or No only.");
    assert_eq!(questions[4], "How many?");
    let forms: Vec<&AnswerForm> = set.items.iter().map(|i| &i.truth.form).collect();
    assert!(matches!(forms[2], AnswerForm::Length { cm, .. } if *cm == 150.0));
    assert_eq!(forms[3..5], [&AnswerForm::YesNo, &AnswerForm::Integer(4.0)]);
    assert_eq!(set.items[1].truth.text, "A");
    let shown = |i: usize| set.image(set.items[i].image_idx);
    for (i, n) in [(0, 1), (1, 1), (2, 2), (3, 9), (4, 9)] {
        assert_eq!(shown(i).unwrap(), image(n), "{i}");
    }
    assert_eq!(set.items[0].image_idx, set.items[1].image_idx);
    let error = shown(5).unwrap_err().to_string();
    assert!(
        error.contains("index 8") && error.contains("base64"),
        "{error}"
    );
    std::fs::write(&file, "a\tb\n1\t2\n").unwrap();
    let error = QaSet::table(&file, None).unwrap_err().to_string();
    assert!(
        error.contains("expected columns index and question"),
        "{error}"
    );
}

fn judge(url: &str, tries: u32) -> Judge {
    Judge::new(JudgeOptions {
        url: url.into(),
        model: "reader".into(),
        key: Some("secret".into()),
        timeout: Duration::from_secs(5),
        tries,
        pause: Duration::from_millis(1),
    })
    .unwrap()
}

fn which() -> QaItem {
    QaItem {
        name: "q".into(),
        image_idx: 0,
        question: "Which?".into(),
        kind: "k".into(),
        truth: Truth {
            text: "B".into(),
            form: AnswerForm::Choice(vec!["red".into(), "blue".into()]),
        },
    }
}

#[test]
fn a_judge_is_asked_again_after_a_failure() {
    let replies = vec![(500, "{}".into()), (200, "no JSON".into()), reply("B")];
    let (url, served) = endpoint(replies);
    let read = judge(&url, 3).read(&which(), "the second one").unwrap();
    assert_eq!(read, Some(Extracted::Read(Reading::Letter('B'))));
    let asked = served.join().unwrap();
    assert!(
        asked[2].starts_with("POST /v1/chat/completions "),
        "{}",
        asked[2]
    );
    assert!(
        asked[2]
            .to_lowercase()
            .contains("authorization: bearer secret")
    );
    for part in ["\"model\":\"reader\"", "Which?", "the second one"] {
        assert!(asked[2].contains(part), "{part}: {}", asked[2]);
    }
    assert!(!asked[2].contains("blue"), "the truth is not told");
}

#[test]
fn a_judge_that_never_replies_is_a_failure_with_a_reason() {
    let (url, served) = endpoint(vec![(500, "{}".into()), (404, "{}".into())]);
    let why = judge(&url, 2).read(&which(), "x").unwrap_err();
    assert!(why.contains("404"), "{why}");
    served.join().unwrap();
    // Nobody listens there any more.
    assert!(judge(&url, 1).read(&which(), "x").is_err());
}
