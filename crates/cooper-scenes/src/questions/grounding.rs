//! Grounding: what is at a place, where something is, and what there is, all tied to pixels.
//!
//! Short and many, these teach a young model to bind names to places before it compares them.
//! A place is written as in the thoughts, in percent of the image's width and height.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::sampling::{chance, whole};
use super::facts;
use super::thing::{Thing, Things};

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
pub(super) fn some(things: &Things, n: usize, rng: &mut StdRng) -> Vec<Grounding> {
    (0..n).map(|_| one(things, rng)).collect()
}

fn one(things: &Things, rng: &mut StdRng) -> Grounding {
    let mut left = whole(rng, 0, 999) as f64 / 1000.0;
    for (share, ask) in [
        (
            WHAT_SHARE,
            what as fn(&Things, &mut StdRng) -> Option<Grounding>,
        ),
        (DEPTH_SHARE, how_far),
        (WHERE_SHARE, place),
    ] {
        if left < share {
            return ask(things, rng).unwrap_or_else(|| listing(things));
        }
        left -= share;
    }
    listing(things)
}

fn what(things: &Things, rng: &mut StdRng) -> Option<Grounding> {
    let pixel = pixel(things, rng);
    Some(Grounding {
        question: format!("What is at {}?", percent_place(things, pixel)),
        answer: things.name_at(pixel)?.into(),
    })
}

fn how_far(things: &Things, rng: &mut StdRng) -> Option<Grounding> {
    let pixel = pixel(things, rng);
    let depth_m = *things.depth_m.get(pixel)?;
    (depth_m > 0.0).then(|| Grounding {
        question: format!("What is the depth at {}?", percent_place(things, pixel)),
        answer: format!("{depth_m:.1} m"),
    })
}

fn place(things: &Things, rng: &mut StdRng) -> Option<Grounding> {
    let thing = things.all.choose(rng).filter(|thing| thing.is_unique)?;
    let [x, y] = facts::percent_place(things, thing);
    Some(Grounding {
        question: format!("Where is {}?", thing.the()),
        answer: format!("{x:02} {y:02}"),
    })
}

/// Everything, from left to right.
fn listing(things: &Things) -> Grounding {
    let mut all: Vec<&Thing> = things.all.iter().collect();
    all.sort_by(|a, b| a.centroid.x.total_cmp(&b.centroid.x));
    let facts: Vec<String> = all.iter().map(|o| facts::range(things, o)).collect();
    Grounding {
        question: "List the objects.".into(),
        answer: facts.join(" "),
    }
}

/// A pixel, often of a thing.
fn pixel(things: &Things, rng: &mut StdRng) -> usize {
    let n = things.shown.len();
    if chance(rng, OBJECT_SHARE) && !things.all.is_empty() {
        // Things first, so that small ones are asked about as often as large ones.
        let place = whole(rng, 0, things.all.len() - 1);
        let of_thing = |i: &usize| usize::from(things.shown[*i]) == place;
        let pixels: Vec<usize> = (0..n).filter(of_thing).collect();
        if let Some(&pixel) = pixels.choose(rng) {
            return pixel;
        }
    }
    whole(rng, 0, n.saturating_sub(1))
}

/// The place of a pixel in whole percent.
fn percent_place(things: &Things, pixel: usize) -> String {
    let (width, height) = things.size;
    let (column, row) = (pixel % width as usize, pixel / width as usize);
    let [x, y] = [(column, width), (row, height)]
        .map(|(at, size)| ((at as f64 + 0.5) / f64::from(size) * 100.0) as u32);
    format!("{x:02} {y:02}")
}
