//! Questions about a scene, each with its answer and with the facts from which the answer follows.
//!
//! | kind | asked about | asked if |
//! |---|---|---|
//! | nearer | [`Object::nearest_m`](super::Object::nearest_m) of two | they differ by 0.3 m and by 8 % of the larger |
//! | left_right | columns of two centroids | they differ by 6 % of the width |
//! | above_below | heights of two centres over the floor | they differ by 0.15 m |
//! | count | visible objects, all or of a category | always; seldom about a category that is not there |
//! | camera_distance | `nearest_m` of one | always |
//! | object_distance | the way between two centres | always |
//! | size | height or width of one | it is seen nearly whole, away from the image's edges |
//!
//! About labelled images also:
//!
//! | kind | asked about | asked if |
//! |---|---|---|
//! | presence | a class that is there, one that is not | always |
//! | direction | the middle of one, in degrees from the optical axis | always |
//! | support | what lies below the outline of one | at least 60 % of it has the same below, at its depth |
//! | ahead | the nearest thing in a way of 0.6 m straight ahead | there is one |

mod ask;
mod choices;
mod draft;
mod facts;
mod grounding;
mod labelled;
mod pairs;
mod question;
mod singles;
mod surroundings;
mod thing;

pub use grounding::Grounding;
pub use labelled::LabelledImage;
pub use question::{Question, QuestionKind, Tool};
use rand::rngs::StdRng;

use super::scene::Scene;
use thing::Things;

impl Scene {
    /// All that can be asked with a clear answer, each once, in random order and wording.
    pub fn questions(&self, rng: &mut StdRng) -> Vec<Question> {
        ask::all(&Things::of_scene(self), rng)
    }

    /// `n` questions that tie names and distances to places, perhaps with repetitions.
    pub fn grounding(&self, n: usize, rng: &mut StdRng) -> Vec<Grounding> {
        grounding::some(&Things::of_scene(self), n, rng)
    }
}
