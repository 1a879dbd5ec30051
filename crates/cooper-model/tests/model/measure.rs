//! Typed questions: what is concluded from an answer and maps that are known.

use std::sync::Arc;

use cooper_metric::{Affine, Intrinsics};
use cooper_model::measure::{
    Agreement, Axis, Conclusion, Kind, Measurement, Metric, Named, Observation, conclude,
};
use cooper_model::perception::{DepthMap, Segmentation};
use cooper_model::reasoning::{Mode, Status, Timings, Transcript};
use image::{Rgb, RgbImage};
use nalgebra::{Point2, Point3};

const SIZE: (u32, u32) = (100, 80);
/// Left, top, width, height.
const BOX: (u32, u32, u32, u32) = (20, 30, 20, 30);
const BALL: (u32, u32, u32, u32) = (70, 40, 10, 10);
/// Where the model says that they are.
const PLACES: [Point2<f64>; 2] = [Point2::new(30.0, 45.0), Point2::new(75.0, 45.0)];
/// Of a comparison without a map.
const OWN_WORDS: &str = "compared with the places in the model's own words, not with a map";

fn inside(x: u32, y: u32, (left, top, width, height): (u32, u32, u32, u32)) -> bool {
    (left..left + width).contains(&x) && (top..top + height).contains(&y)
}

/// A red box at relative depth 0.2 and a blue ball at 0.4, before a wall at 0.9.
fn seen(answer: &str) -> Observation {
    let of = |x, y, values: [f32; 3]| match (inside(x, y, BOX), inside(x, y, BALL)) {
        (true, _) => values[0],
        (_, true) => values[1],
        _ => values[2],
    };
    let pixels = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
    let depth: Vec<f32> = pixels.map(|(x, y)| of(x, y, [0.2, 0.4, 0.9])).collect();
    let painted = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        Rgb(match of(x, y, [0.0, 1.0, 2.0]) as u8 {
            0 => [255, 0, 0],
            1 => [0, 0, 255],
            _ => [128; 3],
        })
    });
    Observation {
        question: String::new(),
        mode: Mode::default(),
        transcript: Transcript {
            status: Status::Answered,
            answer: answer.into(),
            turns: vec![answer.into()],
            ids: Vec::new(),
            evidence: Vec::new(),
            timings: Timings::default(),
        },
        size: SIZE,
        places: PLACES.map(Some).into(),
        depth: Some(Arc::new(DepthMap::at_size(depth, SIZE, SIZE))),
        segmentation: Some(Segmentation::from_colors(painted)),
        names: named(["red box", "blue ball"]),
    }
}

/// What the model says is at the places, asked back.
fn named(names: [&str; 2]) -> Vec<Named> {
    let named = PLACES.into_iter().zip(names).map(|(at, name)| Named {
        at,
        name: name.into(),
    });
    named.collect()
}

/// 10 m from relative 0 to 1; the axis through the image's middle.
fn metric() -> Metric {
    let k = [50.0, 0.0, 50.0, 0.0, 50.0, 40.0, 0.0, 0.0, 1.0];
    Metric {
        scale: Affine {
            scale: 10.0,
            shift: 0.0,
        },
        intrinsics: Intrinsics::from_k(&k, SIZE.0, SIZE.1).unwrap(),
    }
}

fn asked(kind: Kind, axis: Axis, objects: &[&str]) -> Measurement {
    let objects: Vec<String> = objects.iter().map(|&name| name.into()).collect();
    Measurement::new(kind, axis, &objects).unwrap()
}

#[track_caller]
fn check(
    measurement: &Measurement,
    seen: &Observation,
    metric: Option<&Metric>,
    agreement: Agreement,
    remark: &str,
) -> Conclusion {
    let found = conclude(measurement, seen, metric);
    assert_eq!(found.agreement, agreement, "{found:?}");
    match agreement {
        Agreement::Consistent => assert_eq!(found.remark, remark),
        _ => assert!(found.remark.contains(remark), "{found:?}"),
    }
    assert!(!found.remark.is_empty() || agreement == Agreement::Consistent);
    found
}

#[track_caller]
fn near(got: Option<f64>, expected: f64) {
    assert!((got.unwrap() - expected).abs() < 1e-6, "{got:?} {expected}");
}

#[test]
fn a_distance_is_the_way_to_the_point() {
    let one = asked(Kind::Distance, Axis::Any, &["red box"]);
    let found = check(
        &one,
        &seen("2.1 m"),
        Some(&metric()),
        Agreement::Consistent,
        "",
    );
    // 2 m ahead, 20 columns left and 5 rows down of the middle.
    let point = Point3::new(-20.0 / 50.0 * 2.0, 5.0 / 50.0 * 2.0, 2.0);
    assert!((found.point.unwrap() - point).norm() < 1e-6, "{found:?}");
    near(found.map_value, point.coords.norm());
    assert_eq!(
        (found.value, found.unit, found.pixel),
        (Some(2.1), "m", Some(Point2::new(30.0, 45.0)))
    );
    let far = check(
        &one,
        &seen("7 m"),
        Some(&metric()),
        Agreement::Contradicts,
        "7.00 m",
    );
    near(far.value, 7.0);
    let two = asked(Kind::Distance, Axis::Z, &["red box", "ball"]);
    let found = check(
        &two,
        &seen("200 cm"),
        Some(&metric()),
        Agreement::Consistent,
        "",
    );
    near(found.map_value, 2.0);
}

#[test]
fn without_metres_lengths_cannot_be_checked() {
    let one = asked(Kind::Distance, Axis::Any, &["red box"]);
    let found = check(
        &one,
        &seen("2 m"),
        None,
        Agreement::Unknown,
        "no metric scale",
    );
    assert_eq!(
        (found.value, found.map_value, found.point),
        (Some(2.0), None, None)
    );
    let behind = Metric {
        scale: Affine {
            scale: 10.0,
            shift: -5.0,
        },
        ..metric()
    };
    check(
        &one,
        &seen("2 m"),
        Some(&behind),
        Agreement::Unknown,
        "behind the camera",
    );
    let metric = metric();
    check(
        &one,
        &seen("far"),
        Some(&metric),
        Agreement::Unknown,
        "no length",
    );
    let mut nowhere = seen("2 m");
    nowhere.places[0] = None;
    check(
        &one,
        &nowhere,
        Some(&metric),
        Agreement::Unknown,
        "where object 1 is",
    );
}

#[test]
fn a_size_is_its_region_at_its_depth() {
    for (axis, pixels) in [(Axis::X, 20.0), (Axis::Y, 30.0), (Axis::Any, 30.0)] {
        let size = asked(Kind::Size, axis, &["red box"]);
        let answer = format!("{:.2} m", pixels / 50.0 * 2.0);
        let found = check(
            &size,
            &seen(&answer),
            Some(&metric()),
            Agreement::Consistent,
            "",
        );
        near(found.map_value, pixels / 50.0 * 2.0);
    }
    let deep = asked(Kind::Size, Axis::Z, &["red box"]);
    check(
        &deep,
        &seen("1 m"),
        Some(&metric()),
        Agreement::Unknown,
        "one view",
    );
}

#[test]
fn sides_are_looked_up_in_the_maps() {
    let objects = &["red box", "ball"];
    for (axis, answer, agreement, remark) in [
        (Axis::X, "left", Agreement::Consistent, OWN_WORDS),
        (Axis::X, "right", Agreement::Contradicts, "the places show"),
        (Axis::X, "right", Agreement::Contradicts, OWN_WORDS),
        (Axis::Any, "left", Agreement::Consistent, OWN_WORDS),
        (Axis::Z, "nearer", Agreement::Consistent, ""),
        (Axis::Z, "farther", Agreement::Contradicts, "the depth map"),
        (Axis::Any, "It is behind.", Agreement::Contradicts, ""),
        (
            Axis::Y,
            "higher",
            Agreement::Unknown,
            "the places are alike",
        ),
        (Axis::Z, "left", Agreement::Unknown, "no side"),
    ] {
        let relation = asked(Kind::Relation, axis, objects);
        check(&relation, &seen(answer), None, agreement, remark);
    }
}

#[test]
fn what_the_model_does_not_confirm_is_not_compared() {
    let objects = &["red box", "ball"];
    let metric = metric();
    for (kind, axis, answer) in [
        (Kind::Relation, Axis::X, "left"),
        (Kind::Relation, Axis::Z, "farther"),
        (Kind::Order, Axis::X, "red box, ball"),
        (Kind::Order, Axis::Any, "ball, red box"),
        (Kind::Distance, Axis::Any, "7 m"),
    ] {
        let measurement = asked(kind, axis, objects);
        for (names, remark) in [
            (
                ["red box", "wall"],
                "object 2 (`ball`) is not confirmed: asked what is at its place, the model says: wall",
            ),
            (
                ["", "wall"],
                "object 1 (`red box`) is not confirmed: asked what is at its place, the model gives no name; object 2",
            ),
        ] {
            let mut seen = seen(answer);
            seen.names = named(names);
            let found = check(
                &measurement,
                &seen,
                Some(&metric),
                Agreement::Unknown,
                remark,
            );
            assert_eq!(found.map_value, None);
            assert_eq!(found.pixel, Some(PLACES[0]));
        }
        let mut nowhere = seen(answer);
        nowhere.places[1] = None;
        let remark = "where object 2 is";
        check(
            &measurement,
            &nowhere,
            Some(&metric),
            Agreement::Unknown,
            remark,
        );
    }
    let size = asked(Kind::Size, Axis::X, &["red box"]);
    let mut seen = seen("0.8 m");
    seen.names = named(["floor", "blue ball"]);
    check(
        &size,
        &seen,
        Some(&metric),
        Agreement::Unknown,
        "says: floor",
    );
}

#[test]
fn orders_are_looked_up_in_the_maps() {
    let order = asked(Kind::Order, Axis::Any, &["red box", "ball"]);
    let found = check(
        &order,
        &seen("the red box, the ball"),
        None,
        Agreement::Consistent,
        "",
    );
    assert_eq!(found.ordered, ["red box", "ball"]);
    let found = check(
        &order,
        &seen("ball, then red box"),
        None,
        Agreement::Contradicts,
        "object 1 before object 2",
    );
    assert_eq!(found.ordered, ["ball", "red box"]);
    let across = asked(Kind::Order, Axis::X, &["red box", "ball"]);
    check(
        &across,
        &seen("red box, ball"),
        None,
        Agreement::Consistent,
        OWN_WORDS,
    );
    let upright = asked(Kind::Order, Axis::Y, &["red box", "ball"]);
    check(
        &upright,
        &seen("red box, ball"),
        None,
        Agreement::Unknown,
        "some places are alike",
    );
    let found = check(
        &order,
        &seen("the ball"),
        None,
        Agreement::Unknown,
        "every object",
    );
    assert!(found.ordered.is_empty());
}

#[test]
fn counts_are_regions_of_that_name() {
    let named = |names: &[&str]| {
        let at = Point2::new(1.0, 1.0);
        let named = names.iter().map(|&name| Named {
            at,
            name: name.into(),
        });
        named.collect::<Vec<_>>()
    };
    let count = asked(Kind::Count, Axis::Any, &["boxes"]);
    for (answer, names, agreement) in [
        (
            "2",
            &["wall", "red box", "blue box"][..],
            Agreement::Consistent,
        ),
        ("three", &["red box"], Agreement::Contradicts),
        ("0", &["wall"], Agreement::Consistent),
        ("2", &["crate"], Agreement::Unknown),
        ("2", &[], Agreement::Unknown),
        ("many", &["red box"], Agreement::Unknown),
    ] {
        let mut seen = seen(answer);
        seen.names = named(names);
        let found = check(&count, &seen, None, agreement, "");
        assert_eq!(found.unit, "");
        let told = names.iter().filter(|name| name.contains("box")).count();
        assert_eq!(found.map_value, (!names.is_empty()).then_some(told as f64));
    }
}

#[test]
fn a_place_is_checked_by_asking_back() {
    let locate = asked(Kind::Locate, Axis::Any, &["red box"]);
    let at = Point2::new(30.0, 45.0);
    for (name, agreement, remark) in [
        (
            "red box",
            Agreement::Consistent,
            "checked by asking the model back, not with a map",
        ),
        ("floor", Agreement::Contradicts, "the model says: floor"),
        ("", Agreement::Unknown, "no name"),
    ] {
        let mut seen = seen("30 56");
        seen.places.truncate(1);
        seen.names = vec![Named {
            at,
            name: name.into(),
        }];
        let found = check(&locate, &seen, Some(&metric()), agreement, remark);
        assert_eq!(found.pixel, Some(at));
        assert!(found.point.is_some() && found.value.is_none());
    }
}
