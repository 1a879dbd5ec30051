//! Typed questions: what is asked of a model, and how it stops.

use std::path::Path;
use std::sync::LazyLock;

use cooper_model::engine::{Cancel, Control, FlowParams, Progress, Stage};
use cooper_model::measure::{
    Agreement, Axis, Kind, Measurement, Observation, conclude, names_at, observe,
};
use cooper_model::reasoning::{Mode, Settings, Status};
use cooper_model::{Cooper, Error, Result};
use image::{Rgb, RgbImage};
use nalgebra::Point2;

/// The shipped model: the random one tells no places.
static COOPER: LazyLock<Cooper> = LazyLock::new(|| {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
    Cooper::open(Path::new(dir)).unwrap()
});

/// A wall and a floor, and nothing else.
fn empty_room() -> RgbImage {
    RgbImage::from_fn(128, 96, |_, y| match y {
        0..50 => Rgb([200, 195, 185]),
        _ => Rgb([120, 100, 80]),
    })
}

fn ask(
    kind: Kind,
    axis: Axis,
    objects: &[&str],
    control: &mut Control,
) -> (Measurement, Result<Observation>) {
    let objects: Vec<String> = objects.iter().map(|&name| name.into()).collect();
    let measurement = Measurement::new(kind, axis, &objects).unwrap();
    let settings = Settings {
        mode: Mode::Direct,
        flow: FlowParams {
            time_points: 3,
            ..COOPER.settings.flow.clone()
        },
        ..COOPER.settings.clone()
    };
    let observation = observe(
        COOPER.model(),
        &empty_room(),
        &measurement,
        &settings,
        control,
    );
    (measurement, observation)
}

#[test]
fn every_place_is_asked_back() {
    for (kind, axis, objects) in [
        (Kind::Distance, Axis::Any, &["red box"][..]),
        (Kind::Distance, Axis::Any, &["red box", "blue ball"]),
        (Kind::Size, Axis::X, &["red box"]),
        (Kind::Relation, Axis::X, &["red box", "blue ball"]),
        (Kind::Order, Axis::X, &["red box", "blue ball", "green can"]),
        (Kind::Locate, Axis::Any, &["red box"]),
    ] {
        let (measurement, seen) = ask(kind, axis, objects, &mut Control::unattended());
        let seen = seen.unwrap();
        let places: Vec<Point2<f64>> = seen.places.iter().flatten().copied().collect();
        assert_eq!(seen.places.len(), objects.len());
        assert!(!places.is_empty(), "{kind:?}: the model tells no place");
        let asked: Vec<Point2<f64>> = seen.names.iter().map(|named| named.at).collect();
        assert_eq!(asked, places, "{kind:?}");
        let found = conclude(&measurement, &seen, None);
        assert_ne!(found.agreement, Agreement::Consistent, "{kind:?} {found:?}");
    }
}

#[test]
fn a_stop_during_the_answer_leaves_the_rest_out() {
    let cancel = Cancel::default();
    let mut control = Control::new(cancel.clone(), |progress| {
        if matches!(progress, Progress::Stage(Stage::Prefill, _)) {
            cancel.cancel();
        }
    });
    let objects = ["red box", "blue ball"];
    let (_, seen) = ask(Kind::Relation, Axis::X, &objects, &mut control);
    let seen = seen.unwrap();
    assert_eq!(seen.transcript.status, Status::Canceled);
    assert!(seen.places.is_empty() && seen.names.is_empty());
}

#[test]
fn a_stop_behind_the_answer_is_an_error() {
    // The map of the check is drawn between the places and the names.
    let cancel = Cancel::default();
    let mut control = Control::new(cancel.clone(), |progress| {
        if matches!(progress, Progress::Stage(Stage::Depth, _)) {
            cancel.cancel();
        }
    });
    let objects = ["red box", "blue ball"];
    let (_, seen) = ask(Kind::Relation, Axis::Z, &objects, &mut control);
    assert!(matches!(seen, Err(Error::Canceled)), "{seen:?}");
    let control = Control::new(cancel.clone(), |_| {});
    let place = [Point2::new(3, 4)];
    let names = names_at(
        COOPER.model(),
        &empty_room(),
        &place,
        &COOPER.settings,
        &control,
    );
    assert!(matches!(names, Err(Error::Canceled)), "{names:?}");
}
