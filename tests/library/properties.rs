//! What holds for every input: messages, images, bags, turns, parameters, weights headers.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use cooper_bag::{BagMessage, CdrReader, CdrWriter, Image, McapFile};
use cooper_imaging::{FrameHeader, RawImage};
use cooper_kernels::SafetensorsHeader;
use cooper_model::reasoning::{Step, parse_turn, short_answer};
use cooper_perception::config::{Changes, NodeConfig, ParameterSet, Value, parameters};
use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};
use proptest::prelude::*;
use safetensors::tensor::TensorView;

/// A text that a message can carry: no NUL.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

fn image() -> impl Strategy<Value = Image<'static>> {
    let header = (any::<i32>(), any::<u32>(), text());
    let fields = (
        any::<u32>(),
        any::<u32>(),
        text(),
        any::<bool>(),
        any::<u32>(),
    );
    let data = prop::collection::vec(any::<u8>(), 0..200);
    (header, fields, data).prop_map(|((secs, nanos, frame_id), fields, data)| Image {
        header: FrameHeader {
            stamp_secs: secs,
            stamp_nanos: nanos,
            frame_id,
        },
        height: fields.0,
        width: fields.1,
        encoding: fields.2,
        is_bigendian: fields.3,
        step: fields.4,
        data: data.into(),
    })
}

/// The same message in the other byte order, from its fields.
fn big_endian(image: &Image<'_>) -> Vec<u8> {
    fn string(bytes: &mut Vec<u8>, text: &str) {
        word(bytes, text.len() as u32 + 1);
        bytes.extend(text.bytes().chain([0]));
    }
    fn word(bytes: &mut Vec<u8>, value: u32) {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(value.to_be_bytes());
    }
    let mut bytes = vec![0, 0, 0, 0];
    word(&mut bytes, image.header.stamp_secs as u32);
    word(&mut bytes, image.header.stamp_nanos);
    string(&mut bytes, &image.header.frame_id);
    word(&mut bytes, image.height);
    word(&mut bytes, image.width);
    string(&mut bytes, &image.encoding);
    bytes.push(image.is_bigendian.into());
    word(&mut bytes, image.step);
    word(&mut bytes, image.data.len() as u32);
    bytes.extend(image.data.iter());
    bytes
}

fn layout() -> impl Strategy<Value = WriteOptions> {
    let compression = prop_oneof![
        Just(None),
        Just(Some(Compression::Lz4)),
        Just(Some(Compression::Zstd))
    ];
    (compression, any::<bool>(), any::<bool>(), 1..2000u64).prop_map(
        |(compression, chunks, crcs, size)| {
            WriteOptions::new()
                .compression(compression)
                .compression_threads(0)
                .use_chunks(chunks)
                .calculate_chunk_crcs(crcs)
                .chunk_size(Some(size))
        },
    )
}

/// (topic, sequence, time, data) of each message.
type Plain = (u8, u32, u64, Vec<u8>);

fn messages() -> impl Strategy<Value = Vec<Plain>> {
    let data = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::vec((0..3u8, any::<u32>(), any::<u64>(), data), 0..20)
}

fn write(options: WriteOptions, messages: &[Plain]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = options.create(Cursor::new(&mut bytes)).unwrap();
    for (topic, sequence, log_time, data) in messages {
        let schema = writer
            .add_schema("pkg/msg/A", "ros2msg", b"uint8 a\n")
            .unwrap();
        let channel_id = writer
            .add_channel(schema, &format!("/{topic}"), "cdr", &BTreeMap::new())
            .unwrap();
        let header = MessageHeader {
            channel_id,
            sequence: *sequence,
            log_time: *log_time,
            publish_time: !*log_time,
        };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn read(bytes: &[u8]) -> (Vec<BagMessage>, Vec<String>) {
    let source = Cursor::new(bytes.to_vec());
    let mut file = McapFile::new(Path::new("a.mcap"), source, bytes.len() as u64).unwrap();
    let mut messages = Vec::new();
    while let Some(message) = file.next_message().unwrap() {
        messages.push(message);
    }
    (messages, file.damage().lines())
}

/// Where the bytes are that a chunk's checksum covers: all else in a file has none that could be checked on the way.
fn checked(bytes: &[u8]) -> Vec<usize> {
    const CHUNK: u8 = 6;
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let (mut at, mut found) = (8, Vec::new());
    while at + 9 < bytes.len() - 8 {
        let end = at + 9 + number(at + 1);
        if bytes[at] == CHUNK {
            // Two times, a size, a checksum, a name and a size lie before it.
            let name = u32::from_le_bytes(bytes[at + 37..at + 41].try_into().unwrap());
            found.extend(at + 9 + 40 + name as usize..end);
        }
        at = end;
    }
    found
}

fn plain(message: &BagMessage) -> Plain {
    assert_eq!(message.publish_time, !message.log_time);
    let topic = message.channel.topic[1..].parse().unwrap();
    (
        topic,
        message.sequence,
        message.log_time,
        message.data.to_vec(),
    )
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![any::<i64>(), -2..300i64].prop_map(Value::Integer),
        prop_oneof![any::<f64>(), -1.0..11.0].prop_map(Value::Float),
        prop_oneof![
            any::<String>(),
            "(auto|cpu|f32|bf16|text|direct|global|raw)"
        ]
        .prop_map(Value::Text),
        prop::collection::vec(-0.5..1.5, 0..4).prop_map(Value::Floats),
        prop::collection::vec("[a-z_/0-9]{0,6}", 0..4).prop_map(Value::Texts),
    ]
}

proptest! {
    #[test]
    fn an_image_is_read_as_it_was_written_in_either_byte_order(image in image()) {
        for bytes in [image.write(), big_endian(&image)] {
            prop_assert_eq!(&Image::read(&bytes).unwrap(), &image);
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_refused(image in image(), part in 0.0..1.0) {
        let bytes = image.write();
        let length = (bytes.len() as f64 * part) as usize;
        let told = Image::read(&bytes[..length]).unwrap_err().to_string();
        prop_assert!(told.contains("truncated") || told.contains("expected CDR"), "{}", told);
    }

    #[test]
    fn values_come_back_in_any_order(kinds in prop::collection::vec(0..5u8, 0..20), number: i64, text in text()) {
        let mut writer = CdrWriter::default();
        for kind in &kinds {
            match kind {
                0 => writer.u8(number as u8),
                1 => writer.u32(number as u32),
                2 => writer.i32(number as i32),
                3 => writer.i64(number),
                _ => writer.string(&text),
            }
        }
        let bytes = writer.finish();
        let mut reader = CdrReader::new(&bytes).unwrap();
        for kind in &kinds {
            match kind {
                0 => prop_assert_eq!(reader.u8("a").unwrap(), number as u8),
                1 => prop_assert_eq!(reader.u32("a").unwrap(), number as u32),
                2 => prop_assert_eq!(reader.i32("a").unwrap(), number as i32),
                3 => prop_assert_eq!(reader.i64("a").unwrap(), number),
                _ => prop_assert_eq!(&reader.string("a").unwrap(), &text),
            }
        }
        prop_assert!(reader.u8("a").is_err());
    }

    #[test]
    fn what_lies_behind_a_row_changes_nothing(
        (width, height) in (1..20u32, 1..12u32),
        padding in 0..9u32,
        encoding in prop::sample::select(vec!["rgb8", "bgra8", "mono8", "mono16", "bayer_grbg8", "yuv422", "nv12"]),
        bytes in prop::collection::vec(any::<u8>(), 20 * 18 * 4),
        rubbish: u8,
    ) {
        let pixel_bytes = match encoding {
            "rgb8" => 3,
            "bgra8" => 4,
            "mono16" | "yuv422" => 2,
            _ => 1,
        };
        let (row, n_rows) = (width * pixel_bytes, if encoding == "nv12" { height * 3 / 2 } else { height });
        let padded = |padding: u32| {
            let mut data = Vec::new();
            for line in bytes.chunks(row as usize).take(n_rows as usize) {
                data.extend(line);
                data.extend(vec![rubbish; padding as usize]);
            }
            let raw = RawImage { width, height, step: row + padding, encoding, is_bigendian: false, data: &data };
            raw.to_rgb().map_err(|error| error.to_string())
        };
        let image = padded(0);
        if let Ok(image) = &image {
            prop_assert_eq!(image.dimensions(), (width, height));
        }
        prop_assert_eq!(padded(padding), image);
    }

    #[test]
    fn a_bag_is_read_as_it_was_written(messages in messages(), layout in layout()) {
        let (found, lost) = read(&write(layout, &messages));
        prop_assert_eq!(found.iter().map(plain).collect::<Vec<_>>(), messages);
        prop_assert!(lost.is_empty(), "{:?}", lost);
    }

    #[test]
    fn a_bag_that_is_cut_off_gives_its_beginning(messages in messages(), layout in layout(), part in 0.0..1.0) {
        let bytes = write(layout, &messages);
        let length = 8 + ((bytes.len() - 8) as f64 * part) as usize;
        let (found, _) = read(&bytes[..length]);
        let found: Vec<Plain> = found.iter().map(plain).collect();
        prop_assert_eq!(&found[..], &messages[..found.len()]);
    }

    #[test]
    fn a_flipped_bit_in_a_chunk_invents_no_message(
        messages in messages(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
        compression in prop_oneof![Just(None), Just(Some(Compression::Zstd))],
    ) {
        let options = WriteOptions::new().compression(compression).compression_threads(0).chunk_size(Some(400));
        let mut bytes = write(options, &messages);
        let checked = checked(&bytes);
        prop_assume!(!checked.is_empty());
        bytes[*at.get(&checked)] ^= 1 << bit;
        let (found, _) = read(&bytes);
        for message in &found {
            prop_assert!(messages.contains(&plain(message)));
        }
    }

    #[test]
    fn the_first_answer_wins(before in "[^<]*", content in "[^<]*", behind: String) {
        let written = format!("{before}<answer>{content}</answer>{behind}");
        prop_assert_eq!(parse_turn(&written), Step::Answer(content.clone()));
        let boxed = content.replace(['{', '}', '\\'], "");
        prop_assert_eq!(short_answer(&format!("{before}\\boxed{{{boxed}}}")), boxed.trim());
    }

    #[test]
    fn without_tags_nothing_is_asked(text in "[^<]*") {
        prop_assert_eq!(parse_turn(&text), Step::Nothing);
    }

    #[test]
    fn a_parameter_has_an_accepted_value_or_is_refused_by_name(at in any::<prop::sample::Index>(), value in value()) {
        let known = parameters();
        let parameter = at.get(&known);
        let overrides = BTreeMap::from([(parameter.name.clone(), value.clone())]);
        match ParameterSet::at_start(&overrides) {
            Ok((set, unknown)) => {
                let taken = set.get(&parameter.name).unwrap();
                prop_assert_eq!(&parameter.accepts.check(taken).unwrap(), taken);
                prop_assert!(unknown.is_empty());
                prop_assert!(NodeConfig::read(&set, Some(Path::new("/model"))).is_ok());
            }
            Err(error) => {
                let told = error.to_string();
                prop_assert!(told.contains(&format!("{} accepts ", parameter.name)), "{}", told);
            }
        }
        let (mut running, _) = ParameterSet::at_start(&BTreeMap::new()).unwrap();
        let before = running.get(&parameter.name).cloned();
        if running.set(&parameter.name, &value).is_err() {
            prop_assert_eq!(running.get(&parameter.name).cloned(), before);
        } else {
            let unchanged = running.get(&parameter.name).cloned() == before;
            prop_assert!(parameter.changes != Changes::AtStart || unchanged);
        }
    }

    #[test]
    fn a_weights_header_is_read_and_every_shorter_file_refused(
        shapes in prop::collection::btree_map("[a-z.]{1,8}", prop::collection::vec(0..4usize, 0..4), 1..6),
        part in 0.0..1.0,
    ) {
        let data = [0; 4 * 4 * 4 * 4];
        let views = shapes.iter().map(|(name, shape)| {
            let n_bytes = 4 * shape.iter().product::<usize>();
            (name, TensorView::new(safetensors::Dtype::F32, shape.clone(), &data[..n_bytes]).unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        let of = |bytes: &[u8]| SafetensorsHeader::read_from(&mut Cursor::new(bytes), bytes.len() as u64);
        let header = of(&bytes).unwrap();
        for (name, shape) in &shapes {
            prop_assert_eq!(header.shape(name), Some(shape.as_slice()));
        }
        prop_assert_eq!(header.tensors.len(), shapes.len());
        let length = (bytes.len() as f64 * part) as usize;
        prop_assert!(of(&bytes[..length]).is_err());
    }
}
