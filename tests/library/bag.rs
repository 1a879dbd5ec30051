//! Reading and writing bags, without a model: other people's files, damaged files, and the bytes of messages.
//!
//! `tests/fixtures/bags` was written by PyPI's `mcap-ros2-support` and `rosbags`; the script lies there.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use cooper_bag::{
    BagMessage, CdrReader, CompressedImage, Image, Input, McapFile, Survey, TopicContent,
    Transport, select_cameras,
};
use cooper_imaging::FrameHeader;
use cooper_perception::pipeline::Frame;
use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};
use serde_json::Value;

const START: i32 = 1_700_000_000;

fn bags(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/bags")
        .join(name)
}

/// The bytes of a message as the Python packages write it.
fn bytes_of(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(bags("messages.json")).unwrap();
    let messages: Value = serde_json::from_str(&text).unwrap();
    let digits = messages[name].as_str().unwrap().as_bytes();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn open(bytes: Vec<u8>) -> McapFile {
    let length = bytes.len() as u64;
    McapFile::new(Path::new("test.mcap"), Cursor::new(bytes), length).unwrap()
}

/// All messages of a file, and what was lost.
fn read(bytes: &[u8]) -> (Vec<BagMessage>, Vec<String>) {
    let mut file = open(bytes.to_vec());
    let mut messages = Vec::new();
    while let Some(message) = file.next_message().unwrap() {
        messages.push(message);
    }
    (messages, file.damage().lines())
}

/// The images of each camera of an input, in order.
fn frames(input: &Input, survey: &Survey) -> BTreeMap<String, Vec<Frame>> {
    let (cameras, _) = select_cameras(&survey.topics, &[], &[]).unwrap();
    let mut frames: BTreeMap<String, Vec<Frame>> = BTreeMap::new();
    let mut messages = input.messages().unwrap();
    while let Some(message) = messages.next_message().unwrap() {
        let of = |c: &&cooper_bag::Camera| c.topic == message.channel.topic;
        if let Some(camera) = cameras.iter().find(of) {
            let (header, image) = camera.read(&message).unwrap();
            let frame = Frame::new(&camera.name, header, image);
            frames.entry(camera.name.clone()).or_default().push(frame);
        }
    }
    frames
}

/// Image n of the script.
#[track_caller]
fn check_image(frame: &Frame, n: i32, frame_id: &str) {
    let header = FrameHeader {
        stamp_secs: START + n,
        stamp_nanos: 250_000_000,
        frame_id: frame_id.into(),
    };
    assert_eq!(frame.header, header);
    assert_eq!(frame.image.dimensions(), (32, 24));
    for (x, y, pixel) in frame.image.enumerate_pixels() {
        assert_eq!(pixel.0, [x as u8 * 8, y as u8 * 10, n as u8 * 40]);
    }
}

/// A file of ours: `n` messages of 200 bytes.
fn write(n: u32, options: WriteOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = options.create(Cursor::new(&mut bytes)).unwrap();
    let schema = writer
        .add_schema("pkg/msg/Some", "ros2msg", b"uint8[] data\n")
        .unwrap();
    let channel = writer
        .add_channel(schema, "/some", "cdr", &BTreeMap::new())
        .unwrap();
    for sequence in 0..n {
        let header = MessageHeader {
            channel_id: channel,
            sequence,
            log_time: sequence.into(),
            publish_time: 0,
        };
        // Not compressible, so that chunks have content.
        let data: Vec<u8> = (0..200u32)
            .map(|i| ((i + 200 * sequence).wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        writer.write_to_known_channel(&header, &data).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

/// Every way in which a file may be laid out.
fn layouts() -> Vec<(&'static str, WriteOptions)> {
    let chunks = |compression| {
        WriteOptions::new()
            .chunk_size(Some(600))
            .compression(compression)
    };
    vec![
        ("no chunks", WriteOptions::new().use_chunks(false)),
        ("plain chunks", chunks(None)),
        ("lz4", chunks(Some(Compression::Lz4))),
        ("zstd", chunks(Some(Compression::Zstd))),
        ("no checksums", chunks(None).calculate_chunk_crcs(false)),
        (
            "no index",
            chunks(Some(Compression::Zstd)).emit_summary_records(false),
        ),
    ]
}

#[test]
fn messages_are_written_as_python_writes_them() {
    let image = Image {
        header: FrameHeader {
            stamp_secs: -2,
            stamp_nanos: 300_000_000,
            frame_id: "l".into(),
        },
        height: 1,
        width: 2,
        encoding: "rgb8".into(),
        is_bigendian: false,
        step: 6,
        data: (0..6).collect::<Vec<u8>>().into(),
    };
    assert_eq!(image.write(), bytes_of("image_little_endian"));
    assert_eq!(
        Image::read(&bytes_of("image_little_endian")).unwrap(),
        image
    );
    assert_eq!(Image::read(&bytes_of("image_big_endian")).unwrap(), image);
    let bytes = bytes_of("answer_big_endian");
    let mut cdr = CdrReader::new(&bytes).unwrap();
    assert_eq!(
        (cdr.i32("sec").unwrap(), cdr.u32("nanosec").unwrap()),
        (7, 5)
    );
    for text in [
        "front",
        "front/left",
        "Wie weit? ä",
        "2.5 m",
        "<answer>2.5 m</answer>\n",
    ] {
        assert_eq!(cdr.string("text").unwrap(), text);
    }
    assert_eq!((cdr.u8("mode").unwrap(), cdr.u8("status").unwrap()), (3, 0));
    assert_eq!(cdr.i64("seed").unwrap(), 41);
}

#[test]
fn a_bag_of_mcap_ros2_support_is_read() {
    let input = Input::find(&bags("recorder.mcap"), "camera", 1.0).unwrap();
    let survey = input.survey().unwrap();
    assert!(survey.damage.lines().is_empty());
    let looks: Vec<_> = survey
        .topics
        .iter()
        .map(|(name, topic)| (name.as_str(), &topic.content))
        .collect();
    let [
        ("/camera/depth/image_raw", TopicContent::Unusable(why)),
        ("/camera/image_raw", TopicContent::Image(Transport::Raw)),
        ("/front/image_raw/compressed", TopicContent::Image(Transport::Compressed)),
        ("/notes", TopicContent::Other),
    ] = looks.as_slice()
    else {
        panic!("{looks:?}");
    };
    assert!(
        why.contains("unsupported encoding `16UC1`: it is depth, not an image"),
        "{why}"
    );
    let times = &survey.topics["/notes"].log_times;
    assert_eq!(
        times,
        &[0, 1, 2].map(|n| (START as u64 + n) * 1_000_000_000 + 260_000_000)
    );
    let frames = frames(&input, &survey);
    assert_eq!(frames.keys().collect::<Vec<_>>(), ["camera", "front"]);
    for (camera, frame_id) in [("camera", "camera_optical_frame"), ("front", "front")] {
        assert_eq!(frames[camera].len(), 3);
        for (n, frame) in (0..).zip(&frames[camera]) {
            check_image(frame, n, frame_id);
        }
    }
}

#[test]
fn a_split_bag_of_rosbags_in_big_endian_is_read_in_order() {
    let input = Input::find(&bags("split"), "camera", 1.0).unwrap();
    let survey = input.survey().unwrap();
    let frames = frames(&input, &survey);
    assert_eq!(frames["left"].len(), 4);
    for (n, frame) in (0..).zip(&frames["left"]) {
        check_image(frame, n, "left");
    }
}

#[test]
fn a_bag_without_chunks_and_index_is_read() {
    let input = Input::find(&bags("plain.mcap"), "camera", 1.0).unwrap();
    let survey = input.survey().unwrap();
    assert!(survey.damage.lines().is_empty());
    let frames = frames(&input, &survey);
    assert_eq!(frames["camera"].len(), 2);
    assert_eq!(frames["camera"][1].image.get_pixel(31, 23).0, [31; 3]);
}

#[test]
fn every_layout_is_read() {
    for (name, options) in layouts() {
        let (messages, lost) = read(&write(20, options));
        assert_eq!(messages.len(), 20, "{name}");
        assert!(lost.is_empty(), "{name}: {lost:?}");
    }
}

#[test]
fn a_file_that_is_cut_short_gives_what_it_has() {
    for (name, options) in layouts() {
        let whole = write(20, options);
        let (all, _) = read(&whole);
        let mut most = 0;
        for length in (8..whole.len()).step_by(7) {
            let (messages, lost) = read(&whole[..length]);
            assert_eq!(messages, all[..messages.len()], "{name} at {length}");
            assert!(messages.len() >= most, "{name} at {length}");
            most = messages.len();
            let told = lost.iter().any(|line| line.contains("cut short"));
            assert!(told || most == 20, "{name} at {length}: {lost:?}");
        }
        assert_eq!(most, 20, "{name}");
        // Of a chunk without its end, the messages before it are there.
        let (messages, _) = read(&whole[..whole.len() / 2]);
        assert!(messages.len() > 4, "{name}: {}", messages.len());
    }
}

#[test]
fn behind_a_damaged_chunk_reading_goes_on() {
    for compression in [None, Some(Compression::Lz4), Some(Compression::Zstd)] {
        let options = WriteOptions::new()
            .chunk_size(Some(600))
            .compression(compression);
        let mut bytes = write(20, options);
        let (all, _) = read(&bytes);
        bytes[500] ^= 0xff; // In the first chunk's messages.
        let (messages, lost) = read(&bytes);
        assert!((12..20).contains(&messages.len()), "{}", messages.len());
        assert_eq!(messages.last(), all.last());
        assert!(
            lost[0].starts_with("test.mcap: the chunk at byte "),
            "{lost:?}"
        );
    }
}

#[test]
fn lengths_are_not_believed() {
    for (name, options) in layouts() {
        let whole = write(4, options);
        let length_at = whole.len() - 1;
        for at in 8..length_at.min(700) {
            let mut bytes = whole.clone();
            let end = (at + 8).min(bytes.len());
            bytes[at..end].fill(0xff);
            let (messages, _) = read(&bytes);
            assert!(messages.len() <= 4, "{name} at {at}");
        }
    }
}

#[test]
fn other_files_are_refused_by_name() {
    for (first, kind) in [
        (&b""[..], "an empty file"),
        (
            b"SQLite format 3\0",
            "a bag in SQLite: convert it with `ros2 bag convert`",
        ),
        (b"#ROSBAG V2.0\n", "a bag of ROS 1"),
        (b"\x28\xb5\x2f\xfd", "a file compressed as a whole"),
        (b"\x89MCAP", "other bytes"),
    ] {
        let length = first.len() as u64;
        let refused = McapFile::new(Path::new("a.mcap"), Cursor::new(first.to_vec()), length);
        let told = refused.err().unwrap().to_string();
        assert!(
            told.starts_with("a.mcap: expected an MCAP file, got "),
            "{told}"
        );
        assert!(told.contains(kind), "{told}");
    }
}

#[test]
fn messages_of_other_kinds_of_bags_are_told() {
    let bag = |schema: &str, encoding: &str, data: &[u8]| {
        let mut bytes = Vec::new();
        let mut writer = WriteOptions::new().create(Cursor::new(&mut bytes)).unwrap();
        let schema = writer.add_schema(schema, "ros2msg", b"").unwrap();
        let channel_id = writer
            .add_channel(schema, "/image", encoding, &BTreeMap::new())
            .unwrap();
        let header = MessageHeader {
            channel_id,
            sequence: 0,
            log_time: 0,
            publish_time: 0,
        };
        writer.write_to_known_channel(&header, data).unwrap();
        writer.finish().unwrap();
        drop(writer);
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("a.mcap");
        std::fs::write(&path, bytes).unwrap();
        let survey = Input::find(&path, "camera", 1.0).unwrap().survey().unwrap();
        select_cameras(&survey.topics, &[], &[])
            .unwrap_err()
            .to_string()
    };
    let told = bag("sensor_msgs/Image", "ros1", b"");
    assert!(
        told.contains("/image (sensor_msgs/Image: expected messages in the encoding cdr"),
        "{told}"
    );
    let told = bag("sensor_msgs/msg/Image", "cdr", b"\x28\xb5\x2f\xfd...");
    assert!(told.contains("compressed one by one"), "{told}");
    let told = bag("sensor_msgs/msg/Image", "cdr", &[0, 1, 0, 0, 1, 2]);
    assert!(
        told.contains("expected 4 bytes of `header.stamp.sec` from byte 4, got 2"),
        "{told}"
    );
    let told = bag("nav_msgs/msg/Path", "cdr", b"");
    assert!(
        told.ends_with(
            "expected a topic of type sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage with images, \
             got /image (nav_msgs/msg/Path)"
        ),
        "{told}"
    );
    // Depth that `compressed_depth_image_transport` has packed.
    let mut cdr = cooper_bag::CdrWriter::default();
    cdr.i32(0);
    cdr.u32(0);
    cdr.string("camera");
    cdr.string("16UC1; compressedDepth png");
    cdr.bytes(b"\x89PNG");
    let message = cdr.finish();
    assert_eq!(CompressedImage::read(&message).unwrap().data, b"\x89PNG");
    let told = bag("sensor_msgs/msg/CompressedImage", "cdr", &message);
    assert!(told.contains("expected an image, got depth"), "{told}");
}
