//! `cooper bag` on the fixture model: topics, stamps, options, the same bytes again, messages and exit codes.

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

#[test]
fn what_is_damaged_is_told_and_the_rest_is_used() {
    let dir = folder();
    let (cut, path) = (dir.path().join("cut.mcap"), dir.path().join("out.mcap"));
    let whole = std::fs::read(RECORDER).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let rest = ["--maps", "depth", "--json"];
    let ran = bag(cut.to_str().unwrap(), &path, &rest);
    let told = text(&ran.stderr);
    assert!(
        told.contains("lost: ") && told.contains("cut.mcap: cut short"),
        "{told}"
    );
    let json: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(
        json["lost"][0].as_str().unwrap().contains("cut short"),
        "{json}"
    );
    let found = counts(&path);
    assert!(found["/cooper/camera/depth/color"] < 3, "{found:?}");
}

#[test]
fn ctrl_c_leaves_a_file_that_can_be_read() {
    let dir = folder();
    let path = dir.path().join("out.mcap");
    let mut child = Command::new(env!("CARGO_BIN_EXE_cooper"))
        // So many steps that it cannot end by itself.
        .args([
            "bag",
            RECORDER,
            path.to_str().unwrap(),
            "--copy",
            "--model",
            MODEL,
            "--time-points",
            "1000000",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let is_begun = || {
        let mut entries = std::fs::read_dir(&dir).unwrap();
        entries.any(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .ends_with(".part")
        })
    };
    while !is_begun() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let stopped = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut told = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
    assert!(told.contains("interrupted after 0 of 6 images: "), "{told}");
    assert!(
        counts(&path).len() <= 1,
        "more than the image that was worked on"
    );
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = folder();
    let out = dir.path().join("out.mcap");
    let out = out.to_str().unwrap();
    let copy = dir.path().join("in.mcap");
    std::fs::copy(RECORDER, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    check_refused(&[RECORDER], 2, &["OUT.mcap"]);
    check_refused(
        &[RECORDER, out, "--maps", "normals"],
        2,
        &["depth, segmentation, none"],
    );
    check_refused(
        &[RECORDER, out, "--every", "0"],
        2,
        &["whole number from 1 up"],
    );
    check_refused(&[RECORDER, out, "--rate", "0"], 2, &["a number above 0"]);
    check_refused(&["none.mcap", out], 1, &["none.mcap", "No such file"]);
    check_refused(
        &["Cargo.toml", out],
        1,
        &["Cargo.toml: expected an MCAP file, got other bytes"],
    );
    check_refused(
        &["src", out],
        1,
        &["src: expected a folder with .mcap files or with .png"],
    );
    check_refused(
        &[copy, copy],
        1,
        &["in.mcap: it is the input; expected another file"],
    );
    check_refused(
        &[RECORDER, "none/out.mcap"],
        1,
        &["none/out.mcap: expected a file in a folder that"],
    );
    check_refused(
        &[RECORDER, out, "--question", " "],
        1,
        &["--question: expected some text"],
    );
    check_refused(
        &[RECORDER, out, "--maps", "none"],
        1,
        &["--maps none: nothing is left to do"],
    );
    check_refused(
        &[RECORDER, out, "--topic", "/camera/image"],
        1,
        &[
            "--topic /camera/image: there is no such topic; there are /camera/depth/image_raw (sensor_msgs/msg/Image), /camera",
        ],
    );
    check_refused(
        &[RECORDER, out, "--topic", "/camera/depth/image_raw"],
        1,
        &["--topic /camera/depth/image_raw: image: unsupported encoding `16UC1`: it is depth"],
    );
    check_refused(
        &[RECORDER, out, "--camera", "4th"],
        1,
        &["--camera: accepts a list of different names"],
    );
    check_refused(
        &[RECORDER, out, "--model", "none"],
        1,
        &["none", "expected a model directory"],
    );
    assert_eq!(
        std::fs::read_dir(&dir).unwrap().count(),
        1,
        "an output of a run that failed"
    );
}

#[test]
fn a_broken_image_does_not_stop_the_others() {
    let dir = folder();
    let path = dir.path().join("broken.mcap");
    let images: PathBuf = SPLIT.into();
    // The second image loses its last rows.
    let mut bytes = Vec::new();
    let mut writer = mcap::WriteOptions::new()
        .create(std::io::Cursor::new(&mut bytes))
        .unwrap();
    for name in ["split_2.mcap", "split_10.mcap"] {
        let mut file = McapFile::open(&images.join(name)).unwrap();
        while let Some(mut message) = file.next_message().unwrap() {
            if message.log_time / 1_000_000_000 == START + 1 {
                let mut image = Image::read(&message.data).unwrap();
                image.data = image.data[..100].to_vec().into();
                message.data = image.write().into();
            }
            writer.write(&message).unwrap();
        }
    }
    writer.finish().unwrap();
    drop(writer);
    std::fs::write(&path, bytes).unwrap();
    let out = dir.path().join("out.mcap");
    let ran = bag(path.to_str().unwrap(), &out, &["--maps", "depth"]);
    let told = text(&ran.stderr);
    assert!(
        told.contains(
            "failed: /left/image_rect at 1700000001.260 s: image: its data is truncated: expected 2400 bytes"
        ),
        "{told}"
    );
    assert!(told.contains("done: 3 of 4 images"), "{told}");
    assert_eq!(counts(&out)["/cooper/left/depth/color"], 3);
}
