//! What is fuzzed: everything that reads bytes from elsewhere. Each target must return, whatever the bytes are.
//!
//! `tests/library/fuzz.rs` runs them with its own mutations on stable Rust; `cargo fuzz` with libFuzzer's, see `Cargo.toml` here.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use cooper_bag::{BagMessage, CdrReader, CompressedImage, Image, McapFile};
use cooper_imaging::RawImage;
use cooper_kernels::SafetensorsHeader;
use cooper_model::reasoning::{Prompts, Step, parse_turn, short_answer};
use cooper_perception::config::{
    NodeConfig, ParameterSet, Value, parameters, parse_yaml, settings,
};
use cooper_train::training::{grpo, supervised, vae, vit};

/// A reader of bytes.
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// Must not panic.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "bag",
        run: bag,
    },
    Target {
        name: "message",
        run: message,
    },
    Target {
        name: "image",
        run: image,
    },
    Target {
        name: "turn",
        run: turn,
    },
    Target {
        name: "config",
        run: config,
    },
    Target {
        name: "safetensors",
        run: safetensors,
    },
];

/// The encodings that are understood, and some that are not.
pub const ENCODINGS: [&str; 24] = [
    "rgb8",
    "bgr8",
    "rgba8",
    "bgra8",
    "mono8",
    "mono16",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg8",
    "bayer_rggb16",
    "bayer_bggr16",
    "bayer_gbrg16",
    "bayer_grbg16",
    "yuv422",
    "uyvy",
    "yuv422_yuy2",
    "yuyv",
    "nv12",
    "8UC1",
    "8UC3",
    "16UC1",
    "32FC1",
    "",
];

/// A bag: all messages, those that are images as pixels.
pub fn bag(bytes: &[u8]) {
    let opened = McapFile::new(
        Path::new("fuzz.mcap"),
        Cursor::new(bytes.to_vec()),
        bytes.len() as u64,
    );
    let Ok(mut file) = opened else {
        return;
    };
    while let Some(found) = file.next_message().expect("bytes in memory can be read") {
        of_channel(&found);
    }
    file.damage().lines();
}

fn of_channel(found: &BagMessage) {
    let schema = found.channel.schema.as_ref();
    match schema.map(|schema| schema.name.as_str()) {
        Some("sensor_msgs/msg/CompressedImage") => compressed(&found.data),
        _ => message(&found.data),
    }
}

/// A message in CDR: read as an image, and written again as it was read.
pub fn message(bytes: &[u8]) {
    if let Ok(mut cdr) = CdrReader::new(bytes) {
        // Some values in an order that no message has.
        while cdr
            .u8("a")
            .and_then(|_| cdr.i64("b"))
            .and_then(|_| cdr.string("c"))
            .is_ok()
        {}
    }
    compressed(bytes);
    let Ok(read) = Image::read(bytes) else {
        return;
    };
    let written = read.write();
    let again = Image::read(&written).expect("what was written can be read");
    assert_eq!(
        (again.width, again.height, again.step),
        (read.width, read.height, read.step)
    );
    assert_eq!(again.data, read.data);
    pixels(&read.raw());
}

fn compressed(bytes: &[u8]) {
    if let Ok(read) = CompressedImage::read(bytes) {
        let _ = read.to_rgb();
    }
}

/// An image's fields: sizes and encoding from the first bytes, the rest is its data.
pub fn image(bytes: &[u8]) {
    let Some(([encoding, endian, width, height, step_low, step_high], data)) =
        bytes.split_first_chunk()
    else {
        return;
    };
    // Mostly small, now and then huge.
    let side = |byte: u8| {
        if byte == 0xff {
            u32::MAX
        } else {
            u32::from(byte)
        }
    };
    pixels(&RawImage {
        width: side(*width),
        height: side(*height),
        step: u32::from_le_bytes([*step_low, 0, 0, if *step_high == 0xff { 0xff } else { 0 }])
            + u32::from(*step_high),
        encoding: ENCODINGS[usize::from(*encoding) % ENCODINGS.len()],
        is_bigendian: endian % 2 == 1,
        data,
    });
}

/// What passes the check has pixels, and the other way round.
fn pixels(raw: &RawImage<'_>) {
    match (raw.check(), raw.to_rgb()) {
        (Ok(_), Ok(image)) => assert_eq!(image.dimensions(), (raw.width, raw.height)),
        (Err(checked), Err(read)) => assert_eq!(checked.to_string(), read.to_string()),
        (checked, read) => panic!(
            "check {checked:?}, pixels {:?}",
            read.map(|p| p.dimensions())
        ),
    }
}

/// What a model has written.
pub fn turn(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse_turn(&text) {
        Step::Answer(content) => {
            assert!(text.contains(&content));
            assert!(content.contains(&short_answer(&content)));
        }
        Step::Draw(_, whole) => assert!(text.contains(&whole)),
        Step::Nothing => {}
    }
    short_answer(&text);
}

/// Configuration files, and parameters with any value.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let path = Path::new("fuzz.yaml");
    let _ = parse_yaml::<Prompts>(&text, path);
    let _ = parse_yaml::<supervised::SupervisedTraining>(&text, path);
    let _ = parse_yaml::<grpo::GrpoTraining>(&text, path);
    let _ = parse_yaml::<vae::VaeTraining>(&text, path);
    let _ = parse_yaml::<vit::VitTraining>(&text, path);
    let overrides = overrides(bytes);
    if let Ok((set, _)) = ParameterSet::at_start(&overrides) {
        let _ = NodeConfig::read(&set, None);
        let _ = settings(&set);
    }
}

/// Parameters with values out of bytes: one byte for the parameter, one for the type, eight for the value.
fn overrides(bytes: &[u8]) -> BTreeMap<String, Value> {
    let known = parameters();
    let (entries, _) = bytes.as_chunks::<10>();
    let entries = entries.iter().take(8).map(|[parameter, kind, value @ ..]| {
        let number = f64::from_le_bytes(*value);
        let word = String::from_utf8_lossy(value)
            .trim_end_matches('\0')
            .to_owned();
        let value = match kind % 6 {
            0 => Value::Bool(value[0] % 2 == 0),
            1 => Value::Integer(i64::from_le_bytes(*value)),
            2 => Value::Float(number),
            3 => Value::Text(word),
            4 => Value::Floats(vec![number; usize::from(kind / 6) % 4]),
            _ => Value::Texts(word.split(',').map(str::to_owned).collect()),
        };
        (
            known[usize::from(*parameter) % known.len()].name.clone(),
            value,
        )
    });
    entries.collect()
}

/// The header of a weights file.
pub fn safetensors(bytes: &[u8]) {
    if let Ok(header) = SafetensorsHeader::read_from(&mut Cursor::new(bytes), bytes.len() as u64) {
        header.elements();
        header.dtypes();
    }
}
