//! The keys of a training configuration, for `--help`. Defaults are asked from the code; a test holds the names.

use std::fmt::Write as _;

use cooper_model::engine::FlowParams;
use cooper_scenes::SceneConfig;
use cooper_train::training::grpo::{GrpoTraining, SceneQuestions};
use cooper_train::training::supervised::SupervisedTraining;
use cooper_train::training::vae::VaeTraining;
use cooper_train::training::vit::VitTraining;
use cooper_train::training::{RunConfig, SceneTasks};
use serde_json::{Value, json};

/// A line for each key: its name, two spaces at least, its meaning.
type Keys = &'static str;

const RUN: Keys = "\
init                    the model directory to begin with; needed
out                     checkpoints and the log go here; needed
seed                    of everything random
steps                   updates of the weights
micro_batches           batches whose gradients are averaged for an update
threads                 micro-batches that are computed at once; 0: one for each core
optimizer.lr            AdamW: the learning rate at its highest
optimizer.betas         decay of both moments
optimizer.eps           added to the root of the second moment
optimizer.weight_decay  of weights with two dimensions and more, times the rate
optimizer.clip          the longest gradient; longer ones are shortened
optimizer.ema           decay of the average of the weights, which is what is saved as the model
schedule.warmup         steps until the highest rate
schedule.hold           the share of all steps after which the rate falls; 1: never
schedule.decay          how it falls: linear or cosine
schedule.end            the rate at the end, as a share of the highest
freeze                  names of weights that stay as they are, * for anything
log_every               steps between log lines
save_every              steps between checkpoints
keep                    checkpoints to keep
bf16                    save the model in bf16 instead of f32
";

const SCENES: Keys = "\
width               pixels of a row
height              rows
horizontal_fov_deg  the camera's angle from left to right
camera_height_m     over the floor
pitch_deg           how far it looks down
yaw_deg             how far it looks to the left of the room's long axis
roll_deg            how far it is tilted about its axis
room_width_m        across the camera's way
room_depth_m        along the camera's way
room_height_m       from floor to ceiling
objects             fewest and most visible objects
stacked_share       the share of scenes with an object on a box
size_m              of an object
distance_m          from the camera to an object
min_visible_pixels  fewer of 128 x 96 do not count as an object
noise_sigma         of a pixel; 1 is the range of a channel
attempts            arrangements that are tried for the wanted number of objects
";

const VAE: Keys = "\
loss.kl          weight of the latents' divergence from a normal distribution
samples          scenes of a micro-batch: an image, a depth map, a segmentation each
crop             rows and columns of the crops, multiples of a latent cell's side
depth_range_m    the depths that are drawn as 0 and 1, metres
normalize_first  begin by scaling each latent channel to mean 0 and deviation 1
";

const VIT: Keys = "\
samples        images of a micro-batch
depth_range_m  the depths that are drawn as 0 and 1, metres
map_share      the share of depth maps, and of segmentations, among the images
";

const SUPERVISED: Keys = "\
samples         samples of a micro-batch
ce_weight       of the text loss, the mean over tokens
mse_weight      of the flow loss, the mean over latent numbers
timestep_shift  above 1, more flow times lie near the noise
dropout.text    the chance that a text without loss is left out, for guidance
dropout.vit     the same of an image's ViT tokens
dropout.vae     the same of an image's latent tokens
data            sources of samples: a list of {weight, scenes} and {weight, jsonl}; needed
";

const SCENE_TASKS: Keys = "\
first              the first scene's number
questions          questions of a sample
depth_range_m      the depths that are drawn as 0 and 1, metres
direct             weight of: answer at once
text               weight of: think, then answer
perception         weight of: answer from both maps
interleaved        weight of: think, look at a map where it helps, think, answer
draw               weight of: draw the depth map and the segmentation
grounding          weight of: name what is at a place, tell where something is
grounding_in_maps  weight of: the same with both maps in view
draw_within        also draw the maps that appear in conversations
";

const JSONL: Keys = "\
file             one row a line; needed
rows             depth (rgb_image, depth_image), segmentation (rgb_image, seg_image) or interleaved (interleaved_reason); needed
root             the folder of the rows' paths; by default the file's own
dataset          how 16-bit depth is stored: vkitti, kitti, hypersim or nyu
depth_scale      the same in numbers: {scale: units of a metre, lo: metres drawn as 0, hi: metres drawn as 1}
kitti_crop       keep the lowest 352 rows and the middle 1216 columns; by default for vkitti and kitti
flip             the chance that an image and its map are mirrored
generated_views  how images behind the model's first words are read: vae_and_vit or vit
";

const GRPO: Keys = "\
mode                 interleaved, or text (without maps)
prompts              questions of a micro-batch
num_generations      answers to each question, from 2
temperature          of sampling
top_p                sample from the likeliest tokens of this share
max_new_tokens       tokens of a turn at most
max_turns            turns of an answer at most
flow                 how maps are drawn; by default as the model's flow_config.json says
epsilon_low          how far below 1 the ratio of probabilities counts
epsilon_high         how far above 1 the ratio of probabilities counts
beta                 weight of the divergence from the first weights
rewards.answer       of a right answer
rewards.format       of well-formed turns; by default 1, in the mode text 0.1
rewards.exploration  of calling a tool where few do and it helps, or not where many do and it hurts
rewards.threshold    fewer answers with a call are few, more are many
data                 questions: a list of {weight, scenes} and {weight, jsonl: {file, root}}; needed
";

const FLOW: Keys = "\
time_points        points of time from noise to image
guidance_text      scale of guidance by the text; 1 is none
guidance_image     scale of guidance by the image; 1 is none
guidance_interval  guide for shifted times in (low, high]
renorm             how guided velocities are shortened: global, channel or text_channel
renorm_min         the least factor of it; 1 turns it off
timestep_shift     above 1, more of the time points lie near the noise
cache_threshold    relative error that a step may have to be forecast; 0: all are computed
";

const SCENE_QUESTIONS: Keys = "\
first  the first scene's number
kinds  kinds of questions; none: all
flags  what maps do, by kind: positive, negative or boundary
";

/// Keys that belong together, below a common name, with their defaults.
struct Group {
    prefix: &'static str,
    defaults: Value,
    keys: Keys,
}

impl Group {
    fn keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let pairs = self.keys.lines().filter_map(|line| line.split_once("  "));
        pairs.map(|(key, meaning)| (key, meaning.trim_start()))
    }
}

fn group(prefix: &'static str, defaults: Value, keys: Keys) -> Group {
    Group {
        prefix,
        defaults,
        keys,
    }
}

fn run() -> Group {
    group("run", json!(RunConfig::default()), RUN)
}

fn scenes(prefix: &'static str) -> Group {
    group(prefix, json!(SceneConfig::default()), SCENES)
}

fn vae_groups() -> Vec<Group> {
    let own = group("", json!(VaeTraining::default()), VAE);
    vec![own, run(), scenes("scenes")]
}

fn vit_groups() -> Vec<Group> {
    let own = group("", json!(VitTraining::default()), VIT);
    vec![own, run(), scenes("scenes")]
}

fn supervised_groups() -> Vec<Group> {
    let rows = json!({"file": null, "rows": null, "root": null, "dataset": null, "depth_scale": null,
        "kitti_crop": null, "flip": 0.5, "generated_views": "vae_and_vit"});
    vec![
        group("", json!(SupervisedTraining::default()), SUPERVISED),
        run(),
        group("data[].scenes", json!(SceneTasks::default()), SCENE_TASKS),
        scenes("data[].scenes.scenes"),
        group("data[].jsonl", rows, JSONL),
    ]
}

fn grpo_groups() -> Vec<Group> {
    let questions = json!(SceneQuestions::default());
    vec![
        group("", json!(GrpoTraining::default()), GRPO),
        run(),
        group("flow", json!(FlowParams::default()), FLOW),
        group("data[].scenes", questions, SCENE_QUESTIONS),
        scenes("data[].scenes.scenes"),
    ]
}

/// For `cooper train vae --help`.
pub(super) fn vae() -> String {
    help(&vae_groups())
}

/// For `cooper train vit --help`.
pub(super) fn vit() -> String {
    help(&vit_groups())
}

/// For `cooper train amg --help` and `cooper train sft --help`.
pub(super) fn supervised() -> String {
    help(&supervised_groups())
}

/// For `cooper train grpo --help`.
pub(super) fn grpo() -> String {
    help(&grpo_groups())
}

fn help(groups: &[Group]) -> String {
    let mut text = String::from("Configuration, in YAML (defaults in brackets):\n");
    for group in groups {
        text.push('\n');
        for (key, meaning) in group.keys() {
            let name = named(group.prefix, key);
            // Writing into a text cannot fail.
            let _ = writeln!(
                text,
                "  {name:<40} {meaning}{}",
                bracketed(&group.defaults, key)
            );
        }
    }
    text
}

fn named(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.into()
    } else {
        format!("{prefix}.{key}")
    }
}

/// The default of a key, if it has one that says something.
fn bracketed(defaults: &Value, key: &str) -> String {
    let value = key
        .split('.')
        .try_fold(defaults, |value, name| value.get(name));
    let is_empty = |text: &str| text.is_empty() || text == "{}" || text == "[]";
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!(" [{text}]"),
        Some(value) if is_empty(&value.to_string()) => String::new(),
        Some(Value::Array(list)) => format!(" {}", json!(list)),
        Some(value) => format!(" [{value}]"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cooper_train::training::{JsonlRows, Weighted};

    use super::*;

    /// All keys below, `a.b` for those of objects.
    fn leaves(value: &Value, prefix: &str, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(keys) if !keys.is_empty() => {
                for (key, value) in keys {
                    leaves(value, &named(prefix, key), into);
                }
            }
            _ => {
                into.insert(prefix.into());
            }
        }
    }

    #[test]
    fn every_key_is_told_and_no_other() {
        for groups in [
            vae_groups(),
            vit_groups(),
            supervised_groups(),
            grpo_groups(),
        ] {
            let has_a_group = |name: &str| groups.iter().any(|group| group.prefix == name);
            for group in &groups {
                let mut own = group.defaults.as_object().unwrap().clone();
                own.retain(|key, value| {
                    !(value.is_object() && has_a_group(&named(group.prefix, key)))
                });
                let mut expected = BTreeSet::new();
                leaves(&json!(own), "", &mut expected);
                let told: BTreeSet<String> = group.keys().map(|(key, _)| key.into()).collect();
                assert_eq!(told, expected, "{}", group.prefix);
            }
        }
    }

    #[test]
    fn rows_have_the_defaults_that_are_told() {
        let groups = supervised_groups();
        let mut told = groups[4].defaults.clone();
        (told["file"], told["rows"]) = (json!("a"), json!("depth"));
        let rows: JsonlRows =
            serde_json::from_value(json!({"file": "a", "rows": "depth"})).unwrap();
        assert_eq!(json!(rows), told);
        let whole = json!([{"weight": 1.0, "jsonl": told}]);
        let read: Vec<Weighted> = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(json!(read), whole);
    }
}
