//! The fuzz targets of `tests/fuzz/targets.rs` on stable Rust: seeds, mutated, for a time or a number of inputs.
//!
//! `COOPER_FUZZ_SECONDS` (default 0.5) is the time of each target; `COOPER_FUZZ_INPUTS` asks for a number of inputs of
//! each instead, `COOPER_FUZZ_SEED` for other mutations. A panic prints the input that caused it.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use cooper_bag::CdrWriter;
use mcap::{Compression, WriteOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use targets::{TARGETS, Target};

/// Inputs do not grow beyond this.
const MAX_BYTES: usize = 1 << 14;
/// Numbers that lengths and sizes break at.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 28,
    1 << 40,
    u64::MAX,
];
/// Words that the formats are made of.
const WORDS: [&str; 22] = [
    "<answer>",
    "</answer>",
    "<depth-estimation>",
    "</depth-estimation>",
    "<segmentation>",
    "</segmentation>",
    "\\boxed{",
    "}",
    "{",
    "<think>",
    "é",
    "\u{10ffff}",
    "sensor_msgs/msg/Image",
    "rgb8",
    "nv12",
    "bayer_rggb16",
    "zstd",
    "lz4",
    ": ",
    "- &a [*a, *a]\n",
    "\"shape\":[18446744073709551615,2]",
    "\"data_offsets\":[0,8]",
];

fn of_env<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let Ok(value) = text.parse() else {
        panic!("{name}: expected a number, got {text}");
    };
    Some(value)
}

fn file(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "bag" => bags(),
        "message" => messages(),
        "image" => (0..21).map(image_seed).collect(),
        "turn" => [
            "<think> far? </think><depth-estimation>draw it</depth-estimation>",
            "<think>x</think><answer> It is \\boxed{2.5} m </answer>",
            "<segmentation>1</segmentation><answer>\\boxed{\\frac{1}{2}}",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into(),
        "config" => [
            "prompts.yaml",
            "train/nano-5-sft.yaml",
            "train/nano-11-grpo.yaml",
            "train/nano-1-vae.yaml",
        ]
        .map(|name| file(&format!("config/{name}")))
        .into(),
        "safetensors" => {
            let text = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}"#;
            let length = (text.len() as u64).to_le_bytes();
            vec![[&length[..], text.as_bytes(), &[0; 9]].concat()]
        }
        _ => panic!("no seeds for {target}"),
    }
}

/// A small image in CDR.
fn message_of(n: usize) -> Vec<u8> {
    let mut cdr = CdrWriter::default();
    cdr.i32(1);
    cdr.u32(2);
    cdr.string("camera");
    cdr.u32(4);
    cdr.u32(4);
    cdr.string(targets::ENCODINGS[n]);
    cdr.u8(0);
    cdr.u32(16);
    cdr.bytes(&[9; 6 * 16]);
    cdr.finish()
}

fn messages() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = (0..21).map(message_of).collect();
    let image = image::RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 7]));
    for format in [image::ImageFormat::Png, image::ImageFormat::Jpeg] {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        let mut cdr = CdrWriter::default();
        cdr.i32(1);
        cdr.u32(2);
        cdr.string("camera");
        cdr.string("rgb8; compressed");
        cdr.bytes(bytes.get_ref());
        found.push(cdr.finish());
    }
    found
}

fn image_seed(encoding: u8) -> Vec<u8> {
    [&[encoding, 0, 4, 4, 16, 0][..], &[77; 6 * 16]].concat()
}

/// The same two channels in every layout.
fn bags() -> Vec<Vec<u8>> {
    let options = || {
        WriteOptions::new()
            .chunk_size(Some(300))
            .compression_threads(0)
    };
    let layouts = [
        options().use_chunks(false),
        options().compression(None),
        options().compression(None).calculate_chunk_crcs(false),
        options().compression(Some(Compression::Lz4)),
        options()
            .compression(Some(Compression::Zstd))
            .calculate_chunk_crcs(false),
    ];
    let bag = |options: WriteOptions| {
        let mut bytes = Vec::new();
        let mut writer = options.create(Cursor::new(&mut bytes)).unwrap();
        for (n, name) in ["Image", "CompressedImage"].iter().enumerate() {
            let name = format!("sensor_msgs/msg/{name}");
            let schema = writer.add_schema(&name, "ros2msg", b"x\n").unwrap();
            let channel_id = writer
                .add_channel(schema, &format!("/{n}"), "cdr", &[].into())
                .unwrap();
            for message in &messages()[n * 19..n * 19 + 4] {
                let header = mcap::records::MessageHeader {
                    channel_id,
                    sequence: 0,
                    log_time: 1,
                    publish_time: 1,
                };
                writer.write_to_known_channel(&header, message).unwrap();
            }
        }
        writer.finish().unwrap();
        drop(writer);
        bytes
    };
    layouts.map(bag).into()
}

/// A few changes to one of the seeds; now and then bytes of no form at all.
fn mutated(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    if rng.random_ratio(1, 50) {
        let n = rng.random_range(0..200);
        return (0..n).map(|_| rng.random()).collect();
    }
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..1 << rng.random_range(0..4) {
        change(&mut bytes, seeds, rng);
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut StdRng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(0..32)).min(bytes.len());
    match rng.random_range(0..9) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let part = bytes[at..end].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, part);
        }
        3 => {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            bytes.splice(at..at, word.bytes());
        }
        4 => {
            let other = &seeds[rng.random_range(0..seeds.len())];
            let from = rng.random_range(0..=other.len());
            bytes.splice(at.., other[from..].iter().copied());
        }
        5 | 6 => {
            let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
            let n = [1, 2, 4, 8][rng.random_range(0..4)];
            for (byte, value) in bytes[at..].iter_mut().zip(&number.to_le_bytes()[..n]) {
                *byte = *value;
            }
        }
        7 => bytes[at..end]
            .iter_mut()
            .for_each(|byte| *byte = rng.random()),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
    }
}

/// Run one target and tell how it went.
fn fuzz(target: &Target) {
    let seeds = seeds(target.name);
    seeds.iter().for_each(|seed| (target.run)(seed));
    let mut rng = StdRng::seed_from_u64(of_env("COOPER_FUZZ_SEED").unwrap_or(0));
    let n_wanted: Option<u64> = of_env("COOPER_FUZZ_INPUTS");
    let time = Duration::from_secs_f64(of_env("COOPER_FUZZ_SECONDS").unwrap_or(0.5));
    let begun = Instant::now();
    let (mut n_inputs, mut slowest) = (0, Duration::ZERO);
    while n_wanted.map_or_else(|| begun.elapsed() < time, |n| n_inputs < n) {
        let input = mutated(&seeds, &mut rng);
        let started = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            let digits: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("{}: input {n_inputs} panics: {digits}", target.name);
        }
        slowest = slowest.max(started.elapsed());
        n_inputs += 1;
    }
    println!(
        "{}: {n_inputs} inputs in {:.1} s, the slowest {:.1} ms",
        target.name,
        begun.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1e3
    );
    assert!(n_inputs > 100, "{}: only {n_inputs} inputs", target.name);
    assert!(
        slowest < Duration::from_secs(10),
        "{}: one input took {slowest:?}",
        target.name
    );
}

/// The target of a name.
fn fuzz_named(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    fuzz(target.unwrap());
}

#[test]
fn bag() {
    fuzz_named("bag");
}

#[test]
fn message() {
    fuzz_named("message");
}

#[test]
fn image() {
    fuzz_named("image");
}

#[test]
fn turn() {
    fuzz_named("turn");
}

#[test]
fn config() {
    fuzz_named("config");
}

#[test]
fn safetensors() {
    fuzz_named("safetensors");
}
