//! Grounding: what is at a place, where something is, and what there is, all tied to pixels.
//!
//! Short and many, these teach a young model to bind names to places before it compares them.
//! A place is written as in the thoughts, in percent of the image's width and height.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::cast::{CEILING, FIRST_OBJECT, FLOOR};
use super::super::object::Object;
use super::super::sampling::{chance, whole};
use super::super::scene::Scene;
use super::facts::{self, the};

/// The share of questions for what is at a place,
const WHAT_SHARE: f64 = 0.4;
/// for how far away it is there,
const DEPTH_SHARE: f64 = 0.2;
/// for where an object is; the rest asks for a listing.
const WHERE_SHARE: f64 = 0.25;
/// The share of places that are on an object.
const OBJECT_SHARE: f64 = 0.7;

/// A question about places, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounding {
    /// For example `What is at 24 61?`
    pub question: String,
    /// For example `red box`.
    pub answer: String,
}

/// `n` of them, some perhaps twice.
pub(super) fn some(scene: &Scene, n: usize, rng: &mut StdRng) -> Vec<Grounding> {
    (0..n).map(|_| one(scene, rng)).collect()
}

fn one(scene: &Scene, rng: &mut StdRng) -> Grounding {
    let mut left = whole(rng, 0, 999) as f64 / 1000.0;
    for (share, ask) in [
        (WHAT_SHARE, what as fn(&Scene, &mut StdRng) -> Grounding),
        (DEPTH_SHARE, how_far),
        (WHERE_SHARE, place),
    ] {
        if left < share {
            return ask(scene, rng);
        }
        left -= share;
    }
    listing(scene)
}

fn what(scene: &Scene, rng: &mut StdRng) -> Grounding {
    let pixel = pixel(scene, rng);
    let answer = match scene.ids[pixel] {
        FLOOR => "floor".into(),
        CEILING => "ceiling".into(),
        id => match object(scene, id) {
            Some(object) => object.name(),
            None => "wall".into(),
        },
    };
    Grounding {
        question: format!("What is at {}?", percent_place(scene, pixel)),
        answer,
    }
}

fn how_far(scene: &Scene, rng: &mut StdRng) -> Grounding {
    let pixel = pixel(scene, rng);
    Grounding {
        question: format!("What is the depth at {}?", percent_place(scene, pixel)),
        answer: format!("{:.1} m", scene.depth[pixel]),
    }
}

fn place(scene: &Scene, rng: &mut StdRng) -> Grounding {
    let Some(object) = scene.objects.choose(rng) else {
        return listing(scene);
    };
    let [x, y] = facts::percent_place(scene, object);
    Grounding {
        question: format!("Where is {}?", the(object)),
        answer: format!("{x:02} {y:02}"),
    }
}

/// Everything, from left to right.
fn listing(scene: &Scene) -> Grounding {
    let mut objects: Vec<&Object> = scene.objects.iter().collect();
    objects.sort_by(|a, b| a.centroid.x.total_cmp(&b.centroid.x));
    let facts: Vec<String> = objects.iter().map(|o| facts::range(scene, o)).collect();
    Grounding {
        question: "List the objects.".into(),
        answer: facts.join(" "),
    }
}

/// A pixel, often of an object.
fn pixel(scene: &Scene, rng: &mut StdRng) -> usize {
    let n = scene.ids.len();
    if chance(rng, OBJECT_SHARE) && !scene.objects.is_empty() {
        // Objects first, so that small ones are asked about as often as large ones.
        let id = FIRST_OBJECT as usize + whole(rng, 0, scene.objects.len() - 1);
        let pixels: Vec<usize> = (0..n).filter(|&i| scene.ids[i] as usize == id).collect();
        if let Some(&pixel) = pixels.choose(rng) {
            return pixel;
        }
    }
    whole(rng, 0, n.saturating_sub(1))
}

fn object(scene: &Scene, id: u8) -> Option<&Object> {
    scene
        .objects
        .get(usize::from(id.checked_sub(FIRST_OBJECT)?))
}

/// The place of a pixel in whole percent.
fn percent_place(scene: &Scene, pixel: usize) -> String {
    let (width, height) = scene.image.dimensions();
    let (column, row) = (pixel % width as usize, pixel / width as usize);
    let [x, y] = [(column, width), (row, height)]
        .map(|(at, size)| ((at as f64 + 0.5) / f64::from(size) * 100.0) as u32);
    format!("{x:02} {y:02}")
}
