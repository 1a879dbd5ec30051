use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::*;

const PLANTED: Affine = Affine {
    scale: 6.0,
    shift: 0.8,
};

/// What is wrong with a wrong point.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// Any depth up to 20 m.
    Anywhere,
    /// Half of the true depth, as when a sensor sees through to something nearer: all to one side.
    Halved,
    /// All on one surface.
    AtOnePlace,
}

/// `n` points on the planted line with normal noise of a share of the depth, some of them wrong.
fn planted(n: usize, noise: f64, wrong: (f64, Wrong), seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut point = |_| {
        let relative = rng.random_range(0.02..0.98);
        let error: f64 = StandardNormal.sample(&mut rng);
        let right = PLANTED.at(relative);
        let metres = if !rng.random_bool(wrong.0) {
            right * (1.0 + noise * error)
        } else {
            match wrong.1 {
                Wrong::Anywhere => rng.random_range(0.1..20.0),
                Wrong::Halved => 0.5 * right,
                Wrong::AtOnePlace => 1.0,
            }
        };
        (relative as f32, metres as f32)
    };
    (0..n).map(&mut point).unzip()
}

/// The largest error of scale, shift and metres in the range, as a share.
fn off(affine: &Affine) -> [f64; 3] {
    let share = |got: f64, expected: f64| (got / expected - 1.0).abs();
    let metres = [0.1, 0.5, 0.9].map(|r| share(affine.at(r), PLANTED.at(r)));
    [
        share(affine.scale, PLANTED.scale),
        share(affine.shift, PLANTED.shift),
        metres.into_iter().fold(0.0, f64::max),
    ]
}

#[track_caller]
fn fitted(points: &(Vec<f32>, Vec<f32>)) -> ScaleFit {
    fit_scale(&points.0, &points.1, &FitSettings::default()).unwrap()
}

#[track_caller]
fn refused(relative: &[f32], metres: &[f32]) -> String {
    let fit = fit_scale(relative, metres, &FitSettings::default());
    fit.unwrap_err().to_string()
}

#[test]
fn a_planted_line_is_found_among_outliers() {
    for wrong in [Wrong::Anywhere, Wrong::Halved, Wrong::AtOnePlace] {
        for share in [0.0, 0.3, 0.4] {
            let fit = fitted(&planted(20_000, 0.02, (share, wrong), 1));
            let off = off(&fit.affine);
            assert!(off.iter().all(|e| *e < 0.01), "{wrong:?} {share}: {off:?}");
            assert!((fit.inlier_share - (1.0 - share)).abs() < 0.1, "{fit:?}");
            // The median of the absolute value of a normal number is 0.6745 sigma.
            assert!((fit.median_error - 0.0135).abs() < 0.004, "{fit:?}");
            assert!(fit.correlation > 0.98 && fit.rms_m < 0.5, "{fit:?}");
        }
    }
}

#[test]
fn two_hundred_exact_points_are_enough() {
    for seed in 0..50 {
        for share in [0.3, 0.4] {
            let fit = fitted(&planted(200, 0.0, (share, Wrong::Anywhere), seed));
            let off = off(&fit.affine);
            assert!(off.iter().all(|e| *e < 0.003), "{seed} {share}: {off:?}");
        }
    }
}

#[test]
fn a_fit_is_the_same_every_time() {
    let points = planted(3000, 0.05, (0.3, Wrong::Halved), 7);
    assert_eq!(fitted(&points), fitted(&points));
}

#[test]
fn what_says_nothing_does_not_count() {
    let (mut relative, mut metres) = planted(500, 0.0, (0.0, Wrong::Anywhere), 3);
    let exact = fitted(&(relative.clone(), metres.clone()));
    relative.extend([0.0, 1.0, f32::NAN, 0.5, 0.5, 0.5, 0.5, f32::INFINITY, -1.0]);
    let none = [3.0, 30.0, 1.0, 0.0, -1.0, f32::NAN, f32::INFINITY, 1.0, 1.0];
    metres.extend(none);
    assert_eq!(fitted(&(relative, metres)), exact);
    assert_eq!(exact.n_points, 500);
}

#[test]
fn refusals_have_words() {
    let ramp: Vec<f32> = (1..200).map(|i| i as f32 / 200.0).collect();
    let line =
        |scale: f32, shift: f32| -> Vec<f32> { ramp.iter().map(|r| scale * r + shift).collect() };
    let check = |words: String, expected: &str| assert!(words.contains(expected), "{words}");
    check(refused(&[], &[]), "expected at least 50, got 0");
    check(refused(&ramp, &[1.0]), "of 1 values, got 199");
    check(refused(&ramp, &[f32::NAN; 199]), "got 0");
    check(refused(&[0.4; 199], &line(5.0, 1.0)), "no spread");
    check(refused(&ramp, &line(-5.0, 6.0)), "above 0");
    // Ten points of the line in noise: most fit nothing.
    let mut rng = StdRng::seed_from_u64(5);
    let noise: Vec<f32> = ramp.iter().map(|_| rng.random_range(0.3..30.0)).collect();
    check(refused(&ramp, &noise), "fit one scale");
    // A wall in the reference where the map sees a room.
    let wall: Vec<f32> = ramp.iter().map(|_| rng.random_range(2.7..3.3)).collect();
    for wall in [&wall[..], &[3.0; 199]] {
        let why_not = fit_scale(&ramp, wall, &FitSettings::default()).unwrap_err();
        let flat = matches!(
            why_not,
            WhyNot::Uncorrelated { .. } | WhyNot::NotPositive { .. }
        );
        assert!(flat, "{why_not}");
    }
    // Noise of 15 % in all points: those within 15 % are off by 6.5 % in the median.
    let settings = FitSettings {
        min_inlier_share: 0.3,
        ..FitSettings::default()
    };
    let (relative, metres) = planted(5000, 0.15, (0.0, Wrong::Anywhere), 6);
    let why_not = fit_scale(&relative, &metres, &settings).unwrap_err();
    check(why_not.to_string(), "the median error");
}

#[test]
fn outliers_alone_make_no_spread() {
    let (mut relative, mut metres) = (vec![0.5; 140], vec![3.0; 140]);
    for i in 0..60 {
        relative.push((i as f32 * 0.618).fract());
        metres.push(20.0 - (i as f32 * 0.414).fract() * 19.0);
    }
    let words = refused(&relative, &metres);
    assert!(words.contains("no spread"), "{words}");
}

#[test]
fn nothing_panics_on_anything() {
    let strange = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::MAX,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        0.5,
    ];
    let mut rng = StdRng::seed_from_u64(8);
    for round in 0..300 {
        let n = rng.random_range(0..200);
        let mut value = || match rng.random_range(0..3) {
            0 => strange[rng.random_range(0..strange.len())],
            _ => rng.random(),
        };
        let (relative, metres): (Vec<f32>, Vec<f32>) = (0..n).map(|_| (value(), value())).unzip();
        let setting = [0.0, f64::NAN, f64::INFINITY, -1.0, 0.3, 1e-300][round % 6];
        let settings = FitSettings {
            min_points: round % 5,
            min_spread: setting,
            inlier_error: [0.1, setting][round % 2],
            min_inlier_share: 0.0,
            ..FitSettings::default()
        };
        if let Ok(fit) = fit_scale(&relative, &metres, &settings) {
            assert!(
                fit.affine.scale.is_finite() && fit.affine.shift.is_finite(),
                "{fit:?}"
            );
        }
    }
}
