//! Damaged input, interruptions, and what cannot be done.

use super::*;

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
