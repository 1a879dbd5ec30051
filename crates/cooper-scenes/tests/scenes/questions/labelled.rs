//! Questions about images of which only depth and classes are known.

use cooper_scenes::{CEILING, FLOOR, LabelledImage, WALL};

use super::*;

const WIDTH: u32 = 40;
const HEIGHT: u32 = 30;
const FOCAL: f64 = 40.0;

/// A wall 3 m ahead above a floor 1 m below; a lamp on a table 2 m ahead in the middle, and a chair on each side.
fn room() -> (Vec<f32>, Vec<u8>) {
    let (mut depth, mut labels) = (Vec::new(), Vec::new());
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let below = f64::from(y) - f64::from(HEIGHT - 1) / 2.0;
            let floor = if below > 0.0 { FOCAL / below } else { 9.0 };
            let at = |columns: std::ops::Range<u32>, rows: std::ops::Range<u32>| {
                columns.contains(&x) && rows.contains(&y)
            };
            let (label, z) = match () {
                () if at(18..22, 10..15) => (4, 2.0),
                () if at(15..25, 15..21) => (3, 2.0),
                () if at(2..8, 12..20) => (5, 2.5),
                () if at(33..39, 12..20) => (5, 1.5),
                () if floor < 3.0 => (0, floor),
                () => (1, 3.0),
            };
            labels.push(label);
            depth.push(z as f32);
        }
    }
    (depth, labels)
}

fn names() -> BTreeMap<u8, &'static str> {
    [
        (0, "floor"),
        (1, "wall"),
        (3, "table"),
        (4, "lamp"),
        (5, "chair"),
        (6, "bed"),
    ]
    .into()
}

fn labelled<'a>(depth_m: &'a [f32], labels: &'a [u8]) -> LabelledImage<'a> {
    LabelledImage {
        size: (WIDTH, HEIGHT),
        depth_m,
        labels,
        names: names(),
        focal_px: [FOCAL; 2],
    }
}

/// Open questions of many seeds, each with its answer.
fn all_asked() -> BTreeMap<String, Question> {
    let (depth, labels) = room();
    let image = labelled(&depth, &labels);
    let asked = (0..60).flat_map(|seed| image.questions(&mut StdRng::seed_from_u64(seed)));
    let open = asked.filter(|question| question.choices.is_empty());
    open.map(|question| (question.text.clone(), question))
        .collect()
}

#[test]
fn answers_follow_from_what_is_seen() {
    let asked = all_asked();
    for (question, answer) in [
        ("How many chairs are there?", "2"),
        ("Are there any chairs?", "yes"),
        ("Are there any beds?", "no"),
        ("What is the lamp on?", "the table"),
        ("What does the lamp stand on?", "the table"),
        (
            "Which is nearer, the left chair or the right chair?",
            "the right chair",
        ),
        (
            "Which is on the left, the table or the left chair?",
            "the left chair",
        ),
        ("Is the lamp higher or lower than the table?", "higher"),
        ("How far away is the table?", "2.0 m"),
        ("How wide is the table?", "0.50 m"),
        ("How tall is the lamp?", "0.25 m"),
        ("How far can I go straight ahead?", "2.0 m"),
        ("Is the way ahead free for 1.0 m?", "yes"),
        ("Is anything within 1.5 m straight ahead?", "no"),
        ("In which direction is the lamp?", "0 degrees"),
        ("In which direction is the left chair?", "20 degrees left"),
        ("At what angle is the right chair?", "20 degrees right"),
    ] {
        let got = asked.get(question).map(|question| question.answer.as_str());
        assert_eq!(got, Some(answer), "{question}");
    }
    // Neither of two chairs is `the chair`, and the table's legs are not seen to stand on anything.
    for (text, question) in &asked {
        assert!(!text.replace("chairs", "").contains("the chair"), "{text}");
        assert!(!question.thought.is_empty(), "{text}");
        assert!(
            question.kind != QuestionKind::Support || text.contains("lamp"),
            "{text}"
        );
    }
}

#[test]
fn places_are_named() {
    let (depth, labels) = room();
    let image = labelled(&depth, &labels);
    let places = image.grounding(400, &mut StdRng::seed_from_u64(1));
    let answers: BTreeSet<&str> = places
        .iter()
        .filter(|place| place.question.starts_with("What is at"))
        .map(|place| place.answer.as_str())
        .collect();
    let expected = [
        "floor",
        "lamp",
        "left chair",
        "right chair",
        "table",
        "wall",
    ];
    assert_eq!(answers, expected.into());
}

/// Rooms of coloured solids, their colours forgotten: where a category is there once, its distance and direction are those of
/// the object.
#[test]
fn distances_are_those_of_the_rooms() {
    let mut n = 0;
    for index in 0..40 {
        let scene = Scene::generate(&SceneConfig::default(), Split::Validation, index);
        let label = |id: &u8| match *id {
            FLOOR | WALL | CEILING => *id,
            id => {
                let object = &scene.objects[usize::from(id - FIRST_OBJECT)];
                let place = Category::ALL.iter().position(|c| *c == object.category());
                FIRST_OBJECT + place.unwrap() as u8
            }
        };
        let labels: Vec<u8> = scene.ids.iter().map(label).collect();
        let mut names = BTreeMap::from([(FLOOR, "floor"), (WALL, "wall"), (CEILING, "ceiling")]);
        for (i, category) in Category::ALL.iter().enumerate() {
            names.insert(FIRST_OBJECT + i as u8, category.word());
        }
        let image = LabelledImage {
            size: scene.image.dimensions(),
            depth_m: &scene.depth,
            labels: &labels,
            names,
            focal_px: [scene.camera.fx, scene.camera.fy],
        };
        for question in image.questions(&mut StdRng::seed_from_u64(index)) {
            let of_category = |c: &Category| {
                let all = scene.objects.iter().filter(|o| o.category() == *c);
                all.collect::<Vec<_>>()
            };
            let named = |c: &&Category| question.text.contains(&format!("the {}", c.word()));
            let objects = Category::ALL.iter().find(named).map(of_category);
            let Some([object]) = objects.as_deref() else {
                continue;
            };
            let bounds = object.bounding_box;
            let is_cut = bounds.x == 0 || bounds.x + bounds.width == scene.image.width();
            if is_cut || object.visible_pixels * 10 < object.covered_pixels * 8 {
                continue; // Its middle is not seen.
            }
            let center = object.center_in_camera;
            let told = question.in_words().split(' ').next().unwrap();
            let (truth, allowed) = match question.kind {
                QuestionKind::CameraDistance => (object.nearest_m, 0.05 + 0.05 * object.nearest_m),
                QuestionKind::Direction => (center.x.atan2(center.z).to_degrees().abs(), 9.0),
                _ => continue,
            };
            let told: f64 = told.parse().unwrap();
            assert!((told - truth).abs() < allowed, "{question:?}: {truth}");
            n += 1;
        }
    }
    assert!(n > 60, "{n}");
}
