//! `cooper bag` on the fixture model: topics, stamps, options, the same bytes again, messages and exit codes.

mod refusals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cooper_bag::{BagMessage, CdrReader, Image, McapFile};
use serde_json::Value;

const MODEL: &str = "tests/fixtures/random-a/checkpoint";
const RECORDER: &str = "tests/fixtures/bags/recorder.mcap";
const SPLIT: &str = "tests/fixtures/bags/split";
const IMAGE: &str = "tests/fixtures/random-a/image.png";
const START: u64 = 1_700_000_000;

fn cooper(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_cooper");
    Command::new(program).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Run with the fixture model, few steps and few words; expect exit code 0.
#[track_caller]
fn bag(input: &str, output: &Path, rest: &[&str]) -> Output {
    let quick = [
        "--model",
        MODEL,
        "--time-points",
        "2",
        "--max-new-tokens",
        "4",
    ];
    let ran = cooper(&[&["bag", input, output.to_str().unwrap()], rest, &quick].concat());
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    ran
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The messages of each topic.
fn topics(path: &Path) -> BTreeMap<String, Vec<BagMessage>> {
    let mut file = McapFile::open(path).unwrap();
    let mut topics: BTreeMap<String, Vec<BagMessage>> = BTreeMap::new();
    while let Some(message) = file.next_message().unwrap() {
        let topic = message.channel.topic.clone();
        topics.entry(topic).or_default().push(message);
    }
    assert!(file.damage().lines().is_empty());
    topics
}

fn counts(path: &Path) -> BTreeMap<String, usize> {
    topics(path)
        .into_iter()
        .map(|(name, messages)| (name, messages.len()))
        .collect()
}

#[track_caller]
fn check_refused(args: &[&str], code: i32, parts: &[&str]) {
    let ran = cooper(&[&["bag"], args].concat());
    let message = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(code), "{args:?}: {message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn every_camera_gets_the_nodes_topics() {
    let dir = folder();
    let path = dir.path().join("out.mcap");
    let ran = bag(
        RECORDER,
        &path,
        &[
            "--question",
            "Which is nearer?",
            "--mode",
            "direct",
            "--seed",
            "5",
        ],
    );
    let found = topics(&path);
    let mut wanted: Vec<String> = ["camera", "front"]
        .iter()
        .flat_map(|camera| {
            [
                "depth/color",
                "depth_relative/image",
                "overlay",
                "segmentation/color",
                "segmentation/labels",
            ]
            .map(|map| format!("/cooper/{camera}/{map}"))
        })
        .collect();
    wanted.insert(0, "/cooper/answer".into());
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), wanted);
    for (topic, encoding) in [
        ("depth_relative/image", "32FC1"),
        ("depth/color", "rgb8"),
        ("segmentation/color", "rgb8"),
        ("segmentation/labels", "mono8"),
        ("overlay", "rgb8"),
    ] {
        for (n, message) in (0..).zip(&found[&format!("/cooper/front/{topic}")]) {
            let image = Image::read(&message.data).unwrap();
            assert_eq!(
                (image.encoding.as_str(), image.width, image.height),
                (encoding, 32, 24)
            );
            assert_eq!(image.header.stamp_secs as u64, START + n);
            assert_eq!(
                (image.header.stamp_nanos, image.header.frame_id.as_str()),
                (250_000_000, "front")
            );
            let recorded = (START + n) * 1_000_000_000 + 260_000_000;
            assert_eq!(
                (message.log_time, message.publish_time),
                (recorded, recorded)
            );
            assert_eq!(u64::from(message.sequence), n + 5);
            let schema = message.channel.schema.as_ref().unwrap();
            assert_eq!(
                (schema.name.as_str(), schema.encoding.as_str()),
                ("sensor_msgs/msg/Image", "ros2msg")
            );
        }
    }
    let answers = &found["/cooper/answer"];
    assert_eq!(answers.len(), 6);
    let mut cdr = CdrReader::new(&answers[1].data).unwrap();
    assert_eq!(cdr.i32("sec").unwrap() as u64, START);
    cdr.u32("nanosec").unwrap();
    let words = ["frame_id", "camera", "question"].map(|field| cdr.string(field).unwrap());
    assert_eq!(words, ["front", "front", "Which is nearer?"]);
    cdr.string("answer").unwrap();
    assert!(!cdr.string("text").unwrap().is_empty());
    assert_eq!(cdr.u8("mode").unwrap(), 3);
    assert!(cdr.u8("status").unwrap() < 3);
    assert_eq!(cdr.i64("seed").unwrap(), 5);
    assert_eq!(
        text(&ran.stdout).lines().count(),
        6,
        "{}",
        text(&ran.stdout)
    );
    let told = text(&ran.stderr);
    assert!(
        told.contains("left out /camera/depth/image_raw: image: unsupported encoding `16UC1`"),
        "{told}"
    );
    assert!(
        told.contains("/front/image_raw/compressed as camera front: 3 images"),
        "{told}"
    );
    assert!(told.contains("done: 6 of 6 images: "), "{told}");
}

#[test]
fn the_same_again_gives_the_same_bytes() {
    let dir = folder();
    let question = ["--question", "What is near?", "--copy"];
    let files = ["a.mcap", "b.mcap", "c.mcap"].map(|name| dir.path().join(name));
    for (path, seed) in files.iter().zip(["3", "3", "4"]) {
        bag(RECORDER, path, &[&question[..], &["--seed", seed]].concat());
    }
    let [first, again, other] = files.map(|path| std::fs::read(path).unwrap());
    assert!(first == again);
    assert!(first != other);
    assert_eq!(
        std::fs::read_dir(&dir).unwrap().count(),
        3,
        "something temporary stays"
    );
}

#[test]
fn a_map_is_that_of_cooper_depth() {
    let dir = folder();
    let images = dir.path().join("pictures");
    std::fs::create_dir(&images).unwrap();
    for name in ["10.png", "9.png"] {
        std::fs::copy(IMAGE, images.join(name)).unwrap();
    }
    std::fs::write(images.join("95.jpg"), "no image").unwrap();
    std::fs::write(images.join("notes.txt"), "not looked at").unwrap();
    let path = dir.path().join("out.mcap");
    let rest = [
        "--maps", "depth", "--camera", "kitchen", "--rate", "4", "--copy",
    ];
    let ran = bag(images.to_str().unwrap(), &path, &rest);
    assert!(
        text(&ran.stderr).contains("95.jpg: expected a PNG or JPEG"),
        "{}",
        text(&ran.stderr)
    );
    let found = topics(&path);
    let depth = &found["/cooper/kitchen/depth_relative/image"];
    let original = Image::read(&found["/kitchen/image_raw"][0].data).unwrap();
    assert_eq!(
        original.raw().to_rgb().unwrap(),
        image::open(IMAGE).unwrap().into_rgb8()
    );
    assert_eq!(original.header.frame_id, "kitchen_optical_frame");
    let times: Vec<u64> = depth.iter().map(|message| message.log_time).collect();
    assert_eq!(times, [250_000_000, 500_000_000]);
    let npy = dir.path().join("depth.npy");
    let args = [
        "depth",
        IMAGE,
        "-o",
        npy.to_str().unwrap(),
        "--model",
        MODEL,
        "--time-points",
        "2",
    ];
    assert!(cooper(&args).status.success());
    let npy = std::fs::read(npy).unwrap();
    let image = Image::read(&depth[0].data).unwrap();
    assert_eq!(image.data[..], npy[npy.len() - image.data.len()..]);
}

#[test]
fn maps_beside_the_images_of_a_folder_are_left_out() {
    let dir = folder();
    let rooms = dir.path().join("rooms");
    let rooms = rooms.to_str().unwrap();
    assert!(cooper(&["scenes", rooms, "--n", "1"]).status.success());
    let path = dir.path().join("out.mcap");
    let told = text(&bag(rooms, &path, &["--maps", "depth"]).stderr);
    assert!(
        told.contains(
            "left out 3 files by name (_depth, _ids, _labels, _segmentation): they are maps"
        ),
        "{told}"
    );
    assert!(told.contains(" as camera camera: 1 image\n"), "{told}");
    assert!(told.contains("done: 1 of 1 image: "), "{told}");
    assert_eq!(counts(&path)["/cooper/camera/depth/color"], 1);
    std::fs::remove_file(format!("{rooms}/000000.png")).unwrap();
    check_refused(
        &[rooms, path.to_str().unwrap()],
        1,
        &["expected images of a camera, got only maps"],
    );
}

#[test]
fn an_output_without_the_cameras_images_is_no_input() {
    let dir = folder();
    let path = dir.path().join("out.mcap");
    bag(RECORDER, &path, &["--every", "3"]);
    let again = dir.path().join("again.mcap");
    check_refused(
        &[path.to_str().unwrap(), again.to_str().unwrap()],
        1,
        &[
            "camera topic: expected images of a camera, got only outputs of this node (/cooper/…), which are left out",
            "was it written without --copy?",
        ],
    );
}

#[test]
fn images_topics_and_maps_can_be_chosen() {
    let dir = folder();
    let path = dir.path().join("out.mcap");
    let of = |rest: &[&str]| {
        bag(RECORDER, &path, rest);
        counts(&path)
    };
    let names = |counts: &BTreeMap<String, usize>| counts.keys().cloned().collect::<Vec<_>>();
    let found = of(&[
        "--maps",
        "depth",
        "--every",
        "2",
        "--topic",
        "/camera/image_raw",
    ]);
    let depth = [
        "/cooper/camera/depth/color",
        "/cooper/camera/depth_relative/image",
    ];
    assert_eq!(names(&found), depth);
    assert!(found.values().all(|n| *n == 2), "{found:?}");
    let found = of(&[
        "--maps",
        "none",
        "--question",
        "What?",
        "--rate",
        "0.5",
        "--copy",
        "--topic",
        "/front/image_raw/compressed",
        "--camera",
        "eye",
    ]);
    let wanted = [
        ("/camera/depth/image_raw", 3),
        ("/camera/image_raw", 3),
        ("/cooper/answer", 2),
        ("/front/image_raw/compressed", 3),
        ("/notes", 3),
    ];
    assert_eq!(found, wanted.map(|(name, n)| (name.to_owned(), n)).into());
    // What an earlier run has written is replaced, not copied.
    let again = dir.path().join("again.mcap");
    let rest = [
        "--maps",
        "none",
        "--question",
        "What?",
        "--copy",
        "--topic",
        "/camera/image_raw",
    ];
    bag(path.to_str().unwrap(), &again, &rest);
    assert_eq!(counts(&again)["/cooper/answer"], 3);
}

#[test]
fn one_json_object_says_it_all() {
    let dir = folder();
    let path = dir.path().join("out.mcap");
    let ran = bag(
        SPLIT,
        &path,
        &["--json", "--maps", "segmentation", "--question", "Where?"],
    );
    let json: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(json["cameras"][0]["name"], "left");
    assert_eq!(
        (&json["cameras"][0]["pictures"], &json["cameras"][0]["done"]),
        (&4.into(), &4.into())
    );
    assert_eq!(json["messages"]["/cooper/left/segmentation/labels"], 4);
    assert_eq!(json["answers"].as_array().unwrap().len(), 4);
    assert_eq!(json["answers"][3]["stamp"], "1700000003.250000000");
    assert_eq!(
        (&json["interrupted"], &json["seed"]),
        (&false.into(), &0.into())
    );
    assert_eq!(json["flow"]["time_points"], 2);
}
