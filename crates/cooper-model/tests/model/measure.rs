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
        places: [(30.0, 45.0), (75.0, 45.0)]
            .map(|(x, y)| Some(Point2::new(x, y)))
            .into(),
        depth: Some(Arc::new(DepthMap::at_size(depth, SIZE, SIZE))),
        segmentation: Some(Segmentation::from_colors(painted)),
        names: Vec::new(),
    }
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
    assert!(found.remark.contains(remark), "{found:?}");
    assert_eq!(found.remark.is_empty(), agreement == Agreement::Consistent);
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
        (Axis::X, "left", Agreement::Consistent, ""),
        (Axis::X, "right", Agreement::Contradicts, "other side"),
        (Axis::Z, "nearer", Agreement::Consistent, ""),
        (Axis::Z, "farther", Agreement::Contradicts, "other side"),
        (Axis::Any, "It is behind.", Agreement::Contradicts, ""),
        (Axis::Y, "higher", Agreement::Unknown, "alike"),
        (Axis::Z, "left", Agreement::Unknown, "no side"),
    ] {
        let relation = asked(Kind::Relation, axis, objects);
        check(&relation, &seen(answer), None, agreement, remark);
    }
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
        ("red box", Agreement::Consistent, ""),
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
