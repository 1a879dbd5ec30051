use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use super::*;

const HEIGHT_M: f64 = 1.2;

fn camera() -> Intrinsics {
    let k = [110.0, 0.0, 63.5, 0.0, 110.0, 47.5, 0.0, 0.0, 1.0];
    Intrinsics::from_k(&k, 128, 96).unwrap()
}

/// True depth of a floor before a wall that stands `wall_m` ahead, and beside a cupboard.
fn room(tilt: Tilt, wall_m: f64) -> Vec<f64> {
    let (camera, down) = (camera(), tilt.down());
    let ahead = Vector3::z() - down * down.z;
    let depth = |at: u32| {
        let ray = camera.ray(f64::from(at % 128), f64::from(at / 128));
        let along = |normal: &Vector3<f64>, distance: f64| {
            let slope = normal.dot(&ray);
            if slope > 0.0 {
                distance / slope
            } else {
                f64::INFINITY
            }
        };
        let floor = along(&down, HEIGHT_M).min(along(&ahead.normalize(), wall_m));
        if at % 128 > 95 { floor.min(2.0) } else { floor }
    };
    (0..128 * 96).map(depth).collect()
}

/// Relative depth for scale 8 and a shift, with noise of a share of the depth.
fn relative_map(depth: &[f64], shift: f64, noise: f64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(4);
    let mut relative = |metres: &f64| {
        let error: f64 = StandardNormal.sample(&mut rng);
        ((metres * (1.0 + noise * error) - shift) / 8.0) as f32
    };
    depth.iter().map(&mut relative).collect()
}

fn floor(relative: &[f32], prior: FloorPrior) -> Result<FloorFit, WhyNot> {
    fit_floor(
        relative,
        &camera(),
        HEIGHT_M,
        &prior,
        &FloorSettings::default(),
    )
}

const TILT: Tilt = Tilt {
    pitch: 0.3,
    roll: -0.05,
};

#[test]
fn each_prior_finds_the_planted_line() {
    let depth = room(TILT, 4.0);
    let cases = [
        (0.0, FloorPrior::Offset(0.0)),
        (0.8, FloorPrior::Offset(0.1)),
        (0.8, FloorPrior::Tilt(TILT)),
        (
            0.8,
            FloorPrior::Both {
                offset: 0.1,
                tilt: TILT,
            },
        ),
    ];
    for (shift, prior) in cases {
        for (noise, most) in [(0.0, 0.002), (0.02, 0.03)] {
            let found = floor(&relative_map(&depth, shift, noise), prior).unwrap();
            let Affine { scale, shift: t } = found.fit.affine;
            assert!(
                (scale / 8.0 - 1.0).abs() < most,
                "{prior:?} {noise}: {found:?}"
            );
            assert!(
                (t - shift).abs() < 8.0 * most,
                "{prior:?} {noise}: {found:?}"
            );
            assert!((found.tilt.down() - TILT.down()).norm() < most, "{found:?}");
        }
    }
}

#[test]
fn refusals_have_words() {
    let depth = room(TILT, 4.0);
    let relative = relative_map(&depth, 0.0, 0.0);
    let check = |fit: Result<FloorFit, WhyNot>, expected: &str| {
        let words = fit.unwrap_err().to_string();
        assert!(words.contains(expected), "{words}");
    };
    let offset = FloorPrior::Offset(0.0);
    check(floor(&relative[1..], offset), "of 12288 values, got 12287");
    check(floor(&[f32::NAN; 128 * 96], offset), "too few points");
    check(floor(&[0.5; 128 * 96], offset), "no spread");
    let fit = |height_m| {
        fit_floor(
            &relative,
            &camera(),
            height_m,
            &offset,
            &FloorSettings::default(),
        )
    };
    check(fit(-1.0), "camera height");
    check(fit(f64::NAN), "camera height");
    // A wall that fills the image: slanted, but upright.
    let wall = |at: u32| 0.1 + 0.003 * (at % 128) as f32;
    let wall: Vec<f32> = (0..128 * 96).map(wall).collect();
    let why_not = floor(&wall, offset).unwrap_err();
    assert!(
        matches!(why_not, WhyNot::NoFloor | WhyNot::FewInliers { .. }),
        "{why_not}"
    );
    // Looking up, no pixel sees a floor.
    let up = FloorPrior::Tilt(Tilt {
        pitch: -1.4,
        roll: 0.0,
    });
    check(floor(&relative, up), "too few points");
}

/// What is found when this share of the floor is under tables, 0.4 m nearer to the camera.
fn under_tables(percent: u32, prior: FloorPrior) -> Result<FloorFit, WhyNot> {
    let depth = |at: u32| {
        let ray = camera().ray(f64::from(at % 128), f64::from(at / 128));
        let is_table = at * 37 % 100 < percent;
        let height = if is_table { HEIGHT_M - 0.4 } else { HEIGHT_M };
        height / TILT.down().dot(&ray).max(0.05)
    };
    let depth: Vec<f64> = (0..128 * 96).map(depth).collect();
    floor(&relative_map(&depth, 0.0, 0.0), prior)
}

#[test]
fn a_table_is_no_floor() {
    for prior in [FloorPrior::Offset(0.0), FloorPrior::Tilt(TILT)] {
        let found = under_tables(50, prior).unwrap();
        assert!(
            (found.fit.affine.scale / 8.0 - 1.0).abs() < 0.01,
            "{found:?}"
        );
        let why_not = under_tables(85, prior).unwrap_err();
        assert!(matches!(why_not, WhyNot::BelowFloor { .. }), "{why_not}");
    }
    // Most of it is table, yet the rest is the floor: nothing is below it.
    let found = under_tables(70, FloorPrior::Tilt(TILT)).unwrap();
    assert!(
        (found.fit.affine.scale / 8.0 - 1.0).abs() < 0.01,
        "{found:?}"
    );
}
