//! Questions about one object, and counts.

use rand::rngs::StdRng;

use super::super::object::Object;
use super::super::sampling::{chance, whole};
use super::super::scene::Scene;
use super::super::solid::Category;
use super::choices::{Grain, wrong_counts};
use super::draft::Draft;
use super::facts::{self, the};
use super::question::QuestionKind;

/// The share of scenes in which a category is counted that is not there.
const NONE_SHARE: f64 = 0.2;
/// A size is asked for if at least this share of the object is visible.
const WHOLE_SHARE: f64 = 0.85;
/// How finely the distance from the camera is written.
const RANGE: Grain = Grain {
    step: 0.1,
    decimals: 1,
};
/// How finely sizes are written.
const SIZE: Grain = Grain {
    step: 0.05,
    decimals: 2,
};

/// All that can be asked about an object, given by its index.
pub(super) fn about(scene: &Scene, index: usize, rng: &mut StdRng) -> Vec<Draft> {
    let object = &scene.objects[index];
    let mut drafts = vec![camera_distance(scene, index, rng)];
    if is_whole(scene, object) {
        drafts.push(size(scene, index, rng));
    }
    drafts
}

/// Whether an object's outline tells its size: hardly covered, and not cut off by the image's edges.
fn is_whole(scene: &Scene, object: &Object) -> bool {
    let bounds = object.bounding_box;
    let (width, height) = scene.image.dimensions();
    let is_inside = bounds.x > 0
        && bounds.y > 0
        && bounds.x + bounds.width < width
        && bounds.y + bounds.height < height;
    is_inside && object.visible_pixels as f64 >= WHOLE_SHARE * object.covered_pixels as f64
}

fn camera_distance(scene: &Scene, index: usize, rng: &mut StdRng) -> Draft {
    let object = &scene.objects[index];
    let x = the(object);
    let open = match whole(rng, 0, 3) {
        0 => format!("How far away is {x}?"),
        1 => format!("How far is {x} from the camera?"),
        2 => format!("What is the distance to {x}?"),
        _ => format!("How far is it to {x}?"),
    };
    let measured = Measured {
        kind: QuestionKind::CameraDistance,
        index,
        value_m: object.nearest_m,
        grain: RANGE,
        thought: facts::range(scene, object),
    };
    measured.draft(open, rng)
}

fn size(scene: &Scene, index: usize, rng: &mut StdRng) -> Draft {
    let object = &scene.objects[index];
    let x = the(object);
    let is_height = chance(rng, 0.5);
    let open = match (is_height, whole(rng, 0, 2)) {
        (true, 0) => format!("How tall is {x}?"),
        (true, 1) => format!("How high is {x}?"),
        (true, _) => format!("What is the height of {x}?"),
        (false, 0) => format!("What is the width of {x}?"),
        (false, _) => format!("How wide is {x}?"),
    };
    let (value_m, thought) = if is_height {
        (object.height_m(), facts::tall(scene, object))
    } else {
        (object.width_m(), facts::wide(scene, object))
    };
    let measured = Measured {
        kind: QuestionKind::Size,
        index,
        value_m,
        grain: SIZE,
        thought,
    };
    measured.draft(open, rng)
}

/// A length of one object.
struct Measured {
    kind: QuestionKind,
    index: usize,
    value_m: f64,
    /// How finely it is written.
    grain: Grain,
    thought: String,
}

impl Measured {
    fn draft(self, open: String, rng: &mut StdRng) -> Draft {
        Draft {
            kind: self.kind,
            stem: open.clone(),
            open,
            right: self.grain.format(self.value_m),
            wrong: self.grain.wrong(self.value_m, rng),
            estimate: Some(self.grain.estimate(self.value_m, rng)),
            value: Some(self.value_m),
            unit: Some("m"),
            objects: vec![self.index],
            thought: self.thought,
        }
    }
}

/// One count of all objects, one of each category that is there, sometimes one of a category that is not.
pub(super) fn counts(scene: &Scene, rng: &mut StdRng) -> Vec<Draft> {
    let mut drafts = vec![count(scene, None, rng)];
    let is_there = |c: &Category| scene.objects.iter().any(|o| o.category() == *c);
    let (there, missing): (Vec<_>, Vec<_>) = Category::ALL.into_iter().partition(is_there);
    for category in there {
        drafts.push(count(scene, Some(category), rng));
    }
    if !missing.is_empty() && chance(rng, NONE_SHARE) {
        let category = missing[whole(rng, 0, missing.len() - 1)];
        drafts.push(count(scene, Some(category), rng));
    }
    drafts
}

fn count(scene: &Scene, category: Option<Category>, rng: &mut StdRng) -> Draft {
    let mut all: Vec<usize> = (0..scene.objects.len()).collect();
    all.sort_by(|&a, &b| {
        let column = |i: usize| scene.objects[i].centroid.x;
        column(a).total_cmp(&column(b))
    });
    let counts = |i: &usize| category.is_none_or(|c| scene.objects[*i].category() == c);
    let objects: Vec<usize> = all.iter().copied().filter(counts).collect();
    let (n, things) = (objects.len(), category.map_or("objects", Category::plural));
    let open = match whole(rng, 0, 3) {
        0 => format!("How many {things} are there?"),
        1 => format!("How many {things} do you see?"),
        2 => format!("What is the number of {things}?"),
        _ => format!("Count the {things}."),
    };
    // Everything that is there, then what counts of it: the same list whatever is counted.
    let places: Vec<String> = all
        .iter()
        .map(|&i| facts::place(scene, &scene.objects[i]) + ".")
        .collect();
    let names: Vec<String> = objects.iter().map(|&i| scene.objects[i].name()).collect();
    let counted = match names.as_slice() {
        [] => "none".into(),
        names => names.join(", "),
    };
    Draft {
        kind: QuestionKind::Count,
        stem: open.clone(),
        open,
        right: n.to_string(),
        wrong: wrong_counts(n, rng),
        estimate: None,
        value: Some(n as f64),
        unit: None,
        thought: format!("{} {counted}: {n}.", places.join(" ")),
        objects,
    }
}
