//! Metres on generated rooms: from a reference's bytes or from the floor.
//!
//! `cargo test -p cooper-metric --test metric -- --nocapture` prints the figures that the bounds come from.

use cooper_metric::{
    Affine, DepthBytes, FitSettings, FloorFit, FloorPrior, FloorSettings, Intrinsics,
    ReferenceDepth, ScaleFit, Tilt, WhyNot, fit_floor, fit_scale, millimetres,
};
use cooper_scenes::{FLOOR, Scene, SceneConfig, Split};
use nalgebra::Vector3;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::rooms::{intrinsics, normal, scenes};

fn tilt(scene: &Scene) -> Tilt {
    let camera_from_world = scene.camera.world_from_camera.inverse();
    Tilt::from_down(&(camera_from_world * -Vector3::z()))
}

/// The median, what 95 % lie below, and the largest.
fn summary(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [values[last / 2], values[last * 95 / 100], values[last]]
}

fn off(got: f64, expected: f64) -> f64 {
    (got / expected - 1.0).abs()
}

// ------------------------------------------------------------------------------------------------------ reference

/// The line that is hidden in `relative`.
const PLANTED: Affine = Affine {
    scale: 12.0,
    shift: -0.3,
};

/// The scene's depth as relative depth of the planted line.
fn planted(scene: &Scene) -> Vec<f32> {
    let relative = |metres: &f32| ((f64::from(*metres) - PLANTED.shift) / PLANTED.scale) as f32;
    scene.depth.iter().map(relative).collect()
}

/// The scene's depth with 2 % of noise, each pixel kept with a probability, and a share of those anywhere in 0 to 20 m.
fn sensed(scene: &Scene, kept: f64, wrong: f64, rng: &mut StdRng) -> Vec<f32> {
    let mut sense = |metres: &f32| {
        if !rng.random_bool(kept) {
            f32::NAN
        } else if rng.random_bool(wrong) {
            rng.random_range(0.1..20.0)
        } else {
            metres * (1.0 + 0.02 * normal(rng) as f32)
        }
    };
    scene.depth.iter().map(&mut sense).collect()
}

fn sixteen_bit(metres: &[f32], width: u32, height: u32) -> Vec<u8> {
    let pixels = millimetres(metres);
    assert_eq!(pixels.len(), (width * height) as usize);
    pixels.iter().flat_map(|mm| mm.to_be_bytes()).collect()
}

fn from_reference(scene: &Scene, metres: &[f32]) -> ScaleFit {
    let (width, height) = scene.image.dimensions();
    let bytes = DepthBytes {
        encoding: "16UC1",
        width,
        height,
        step: 2 * width,
        is_bigendian: true,
        data: &sixteen_bit(metres, width, height),
    };
    let reference = ReferenceDepth::read(&bytes).unwrap();
    let (relative, metres) = reference
        .pairs_with(&planted(scene), width, height)
        .unwrap();
    assert_eq!(relative.len(), reference.n_valid);
    fit_scale(&relative, &metres, &FitSettings::default()).unwrap()
}

#[test]
fn a_dense_reference_with_outliers_gives_the_planted_line() {
    let mut rng = StdRng::seed_from_u64(1);
    for wrong in [0.3, 0.4] {
        let fits = scenes(20).map(|scene| {
            let metres = sensed(&scene, 0.9, wrong, &mut rng);
            from_reference(&scene, &metres).affine
        });
        let (scales, metres): (Vec<f64>, Vec<f64>) = fits
            .map(|line| {
                let at_2_m = (2.0 - PLANTED.shift) / PLANTED.scale;
                (off(line.scale, PLANTED.scale), off(line.at(at_2_m), 2.0))
            })
            .unzip();
        let (scale, metres) = (summary(scales), summary(metres));
        println!("dense, {wrong} wrong: scale off by {scale:.4?}, 2 m off by {metres:.4?}");
        assert!(scale[2] < 0.01 && metres[2] < 0.01, "{scale:?} {metres:?}");
    }
}

#[test]
fn two_hundred_points_with_outliers_are_as_good_as_their_noise_allows() {
    // On a line through 0.02 to 0.98; the least squares of the 140 right points alone is what can be reached.
    let line = Affine {
        scale: 6.0,
        shift: 0.8,
    };
    let fit = |seed: u64, wrong: f64| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut point = |i: usize| {
            let relative = rng.random_range(0.02..0.98);
            let metres = line.at(relative) * (1.0 + 0.02 * normal(&mut rng));
            let is_wrong = (i as f64) < 200.0 * wrong;
            let metres = if is_wrong {
                rng.random_range(0.1..20.0)
            } else {
                metres
            };
            (relative as f32, metres as f32)
        };
        let (relative, metres): (Vec<f32>, Vec<f32>) = (0..200).map(&mut point).unzip();
        fit_scale(&relative, &metres, &FitSettings::default())
            .unwrap()
            .affine
    };
    for (wrong, most) in [(0.0, 0.01), (0.3, 0.01), (0.4, 0.012)] {
        let fits: Vec<Affine> = (0..200).map(|seed| fit(seed, wrong)).collect();
        let of = |error: &dyn Fn(&Affine) -> f64| summary(fits.iter().map(error).collect());
        let scale = of(&|fit| off(fit.scale, line.scale));
        let shift = of(&|fit| off(fit.shift, line.shift));
        let metres = of(&|fit| off(fit.at(0.5), line.at(0.5)));
        println!(
            "200 points, {wrong} wrong: scale {scale:.4?}, shift {shift:.4?}, middle {metres:.4?}"
        );
        assert!(scale[1] < most && metres[1] < most, "{scale:?} {metres:?}");
        assert!(shift[1] < 3.0 * most, "{shift:?}");
    }
}

#[test]
fn a_sparse_reference_of_another_size_gives_the_planted_line() {
    let config = SceneConfig {
        width: 320,
        height: 240,
        ..SceneConfig::default()
    };
    let mut rng = StdRng::seed_from_u64(2);
    for index in 0..5 {
        let scene = Scene::generate(&config, Split::Test, index);
        // One pixel in 200 of a sensor with 320 x 240, over a map of 128 x 96.
        let metres = sensed(&scene, 0.005, 0.3, &mut rng);
        let reference = ReferenceDepth {
            width: 320,
            height: 240,
            n_valid: metres.iter().filter(|m| m.is_finite()).count(),
            metres,
        };
        let large = planted(&scene);
        let small: Vec<f32> = (0..128 * 96)
            .map(|at| {
                let (column, row) = (at % 128, at / 128);
                large[(row * 10 + 5) / 4 * 320 + (column * 10 + 5) / 4]
            })
            .collect();
        let (relative, metres) = reference.pairs_with(&small, 128, 96).unwrap();
        let fit = fit_scale(&relative, &metres, &FitSettings::default()).unwrap();
        let error = off(fit.affine.scale, PLANTED.scale);
        println!("sparse, {} points: scale off by {error:.4}", relative.len());
        assert!(relative.len() > 300 && error < 0.02, "{fit:?}");
    }
}

#[test]
fn a_map_of_nothing_or_of_another_room_is_refused() {
    let mut rng = StdRng::seed_from_u64(4);
    let rooms: Vec<Scene> = scenes(7).collect();
    for pair in rooms.windows(2) {
        let noise: Vec<f32> = pair[0].depth.iter().map(|_| rng.random()).collect();
        for relative in [noise, planted(&pair[0])] {
            let fit = fit_scale(&relative, &pair[1].depth, &FitSettings::default());
            println!("{}", fit.unwrap_err());
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- floor

/// What is wrong with a map that should be proportional to depth, and with the given tilt.
#[derive(Clone, Copy, Debug)]
struct Flaw {
    /// Standard deviation of each pixel's noise, as a share of the depth.
    noise: f64,
    /// The largest error of slow waves over the image, as a share of the depth.
    waves: f64,
    /// Relative depth has this power too much.
    power: f64,
    /// The pitch is given too large by this.
    pitch_deg: f64,
}

fn drawn(scene: &Scene, flaw: &Flaw, rng: &mut StdRng) -> Vec<f32> {
    let phases: [f64; 2] = [rng.random_range(0.0..6.0), rng.random_range(0.0..6.0)];
    let relative = scene.relative_depth(0.0, 10.0);
    let pixel = |(at, r): (usize, &f32)| {
        let (column, row) = ((at % 128) as f64, (at / 128) as f64);
        let wave = (column / 20.0 + phases[0]).sin() + (row / 15.0 + phases[1]).sin();
        let error = flaw.waves / 2.0 * wave + flaw.noise * normal(rng);
        (f64::from(*r).powf(1.0 + flaw.power) * (1.0 + error)) as f32
    };
    relative.iter().enumerate().map(pixel).collect()
}

fn from_floor(scene: &Scene, relative: &[f32], prior: FloorPrior) -> Result<FloorFit, WhyNot> {
    let height_m = scene.camera.position().z;
    let settings = FloorSettings::default();
    fit_floor(relative, &intrinsics(scene), height_m, &prior, &settings)
}

/// The largest error between 1 and 6 m of each room whose floor is found, as a share; and how many are refused.
fn floor_errors(n: u64, flaw: &Flaw, prior: fn(Tilt) -> FloorPrior) -> (Vec<f64>, usize) {
    let mut rng = StdRng::seed_from_u64(3);
    let (mut errors, mut n_refused) = (Vec::new(), 0);
    for scene in scenes(n) {
        let relative = drawn(&scene, flaw, &mut rng);
        let mut tilt = tilt(&scene);
        tilt.pitch += flaw.pitch_deg.to_radians();
        let Ok(found) = from_floor(&scene, &relative, prior(tilt)) else {
            n_refused += 1;
            continue;
        };
        let error = |m: f64| off(found.fit.affine.at((m / 10.0).powf(1.0 + flaw.power)), m);
        errors.push(
            [1.0, 2.0, 4.0, 6.0]
                .map(error)
                .into_iter()
                .fold(0.0, f64::max),
        );
    }
    (errors, n_refused)
}

#[test]
fn the_floor_of_generated_rooms_gives_their_metres() {
    let priors: [fn(Tilt) -> FloorPrior; 3] = [
        |_| FloorPrior::Offset(0.0),
        FloorPrior::Tilt,
        |tilt| FloorPrior::Both { offset: 0.0, tilt },
    ];
    // With the largest median for each prior. The figures stand in `metric/floor.rs`.
    let flaw = |noise, waves, power, pitch_deg| Flaw {
        noise,
        waves,
        power,
        pitch_deg,
    };
    let cases = [
        (flaw(0.0, 0.0, 0.0, 0.0), [0.001, 0.001, 0.001]),
        (flaw(0.02, 0.0, 0.0, 0.0), [0.005, 0.015, 0.005]),
        (flaw(0.05, 0.0, 0.0, 0.0), [0.01, 0.08, 0.01]),
        (flaw(0.02, 0.04, 0.0, 0.0), [0.04, 0.07, 0.015]),
        (flaw(0.02, 0.0, 0.1, 0.0), [0.2, 0.08, 0.12]),
        (flaw(0.02, 0.0, 0.0, 1.0), [0.005, 0.07, 0.04]),
    ];
    for (flaw, most) in cases {
        for (i, prior) in priors.into_iter().enumerate() {
            let (errors, n_refused) = floor_errors(60, &flaw, prior);
            let found = summary(errors);
            println!("{flaw:?}, prior {i}: {found:.3?}, {n_refused} refused");
            // The worst room is not worse than a few medians: those that would be are refused.
            let ok = found[0] < most[i] && found[2] < 5.0 * most[i] && n_refused <= 12;
            assert!(ok, "{flaw:?}, prior {i}: {found:?}, {n_refused} refused");
        }
    }
}

#[test]
fn a_floor_is_found_where_the_labels_say() {
    for scene in scenes(20) {
        let relative = scene.relative_depth(0.0, 10.0);
        let Ok(found) = from_floor(&scene, &relative, FloorPrior::Offset(0.0)) else {
            continue;
        };
        let truth = tilt(&scene);
        let turned = found.tilt.down().angle(&truth.down());
        let lower = &scene.ids[scene.ids.len() / 2..];
        let share = lower.iter().filter(|id| **id == FLOOR).count() as f64 / lower.len() as f64;
        assert!(turned < 0.01, "{}: {turned}", scene.index);
        // The foot of a wall lies within the tolerance too.
        let found = found.fit.inlier_share;
        assert!((found - share - 0.05).abs() < 0.06, "{found} {share}");
    }
}

#[test]
fn no_map_and_no_setting_makes_the_floor_panic() {
    let mut rng = StdRng::seed_from_u64(9);
    let k = [9.0, 0.0, 5.0, 0.0, 9.0, 3.0, 0.0, 0.0, 1.0];
    let small = Intrinsics::from_k(&k, 12, 8).unwrap();
    let strange = [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.3, 1e300];
    for round in 0..400 {
        let mut any = || strange[rng.random_range(0..strange.len())];
        let tilt = Tilt {
            pitch: any(),
            roll: any(),
        };
        let prior = match round % 3 {
            0 => FloorPrior::Offset(any()),
            1 => FloorPrior::Tilt(tilt),
            _ => FloorPrior::Both {
                offset: any(),
                tilt,
            },
        };
        let settings = FloorSettings {
            fit: FitSettings {
                min_points: 0,
                min_inlier_share: 0.0,
                inlier_error: any(),
                ..FitSettings::default()
            },
            lower_share: any(),
            min_slope: any(),
            max_tilt: any(),
            ..FloorSettings::default()
        };
        let height_m = any();
        let relative: Vec<f32> = (0..96).map(|_| rng.random_range(-0.2..1.2)).collect();
        let fit = fit_floor(&relative, &small, height_m, &prior, &settings);
        assert!(fit.is_err() || fit.is_ok_and(|f| f.fit.affine.scale > 0.0));
    }
}
