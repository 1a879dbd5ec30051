//! Questions about one object, and counts.

use rand::rngs::StdRng;

use super::super::sampling::{chance, whole};
use super::choices::{Grain, wrong_counts};
use super::draft::Draft;
use super::facts;
use super::question::QuestionKind;
use super::thing::Things;

/// The share of scenes in which a category is counted that is not there.
const NONE_SHARE: f64 = 0.2;
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
pub(super) fn about(things: &Things, index: usize, rng: &mut StdRng) -> Vec<Draft> {
    let mut drafts = vec![camera_distance(things, index, rng)];
    if let Some(extent_m) = things.all[index].extent_m {
        drafts.push(size(things, index, extent_m, rng));
    }
    drafts
}

fn camera_distance(things: &Things, index: usize, rng: &mut StdRng) -> Draft {
    let thing = &things.all[index];
    let x = thing.the();
    let open = match whole(rng, 0, 3) {
        0 => format!("How far away is {x}?"),
        1 => format!("How far is {x} from the camera?"),
        2 => format!("What is the distance to {x}?"),
        _ => format!("How far is it to {x}?"),
    };
    let measured = Measured {
        kind: QuestionKind::CameraDistance,
        index,
        value_m: thing.nearest_m,
        grain: RANGE,
        thought: facts::range(things, thing),
    };
    measured.draft(open, rng)
}

fn size(things: &Things, index: usize, [height_m, width_m]: [f64; 2], rng: &mut StdRng) -> Draft {
    let thing = &things.all[index];
    let x = thing.the();
    let is_height = chance(rng, 0.5);
    let open = match (is_height, whole(rng, 0, 2)) {
        (true, 0) => format!("How tall is {x}?"),
        (true, 1) => format!("How high is {x}?"),
        (true, _) => format!("What is the height of {x}?"),
        (false, 0) => format!("What is the width of {x}?"),
        (false, _) => format!("How wide is {x}?"),
    };
    let (value_m, thought) = if is_height {
        (height_m, facts::tall(things, thing))
    } else {
        (width_m, facts::wide(things, thing))
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

/// One count of all things, one of each group that is there, sometimes one of a group that is not.
pub(super) fn counts(things: &Things, rng: &mut StdRng) -> Vec<Draft> {
    let mut drafts = Vec::new();
    if things.is_complete {
        drafts.push(count(things, None, rng));
    }
    let is_there = |group: &usize| things.all.iter().any(|thing| thing.group == *group);
    let (there, missing): (Vec<_>, Vec<_>) = (0..things.groups.len()).partition(is_there);
    for group in there {
        drafts.push(count(things, Some(group), rng));
    }
    if !missing.is_empty() && chance(rng, NONE_SHARE) {
        let group = missing[whole(rng, 0, missing.len() - 1)];
        drafts.push(count(things, Some(group), rng));
    }
    drafts
}

fn count(things: &Things, group: Option<usize>, rng: &mut StdRng) -> Draft {
    let mut all: Vec<usize> = (0..things.all.len()).collect();
    all.sort_by(|&a, &b| {
        let column = |i: usize| things.all[i].centroid.x;
        column(a).total_cmp(&column(b))
    });
    let counts = |i: &usize| group.is_none_or(|group| things.all[*i].group == group);
    let counted: Vec<usize> = all.iter().copied().filter(counts).collect();
    let n = counted.len();
    let plural = group.map_or("objects", |group| things.groups[group].as_str());
    let open = match whole(rng, 0, 3) {
        0 => format!("How many {plural} are there?"),
        1 => format!("How many {plural} do you see?"),
        2 => format!("What is the number of {plural}?"),
        _ => format!("Count the {plural}."),
    };
    // Everything that is known to be there, then what counts of it: the same list whatever is counted.
    let listed = if things.is_complete { &all } else { &counted };
    let places: Vec<String> = listed
        .iter()
        .map(|&i| facts::place(things, &things.all[i]) + ".")
        .collect();
    let names: Vec<&str> = counted
        .iter()
        .map(|&i| things.all[i].name.as_str())
        .collect();
    let names = match names.as_slice() {
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
        thought: format!("{} {names}: {n}.", places.join(" ")),
        objects: counted,
    }
}
