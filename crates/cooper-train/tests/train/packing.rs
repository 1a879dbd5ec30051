//! What the network makes of a packed batch is what it makes of each of its sequences alone.

use candle_core::{Device, Tensor};
use cooper_kernels::Noise;
use cooper_model::model::{Grid, UnifiedModel};
use cooper_train::training::{Hidden, ModelDirectory, Packer, Parameters};

use crate::common::{difference, fixture};

const TOLERANCE: f32 = 1e-4;
const SMALL: Grid = Grid {
    rows: 2,
    columns: 3,
};
const LARGE: Grid = Grid {
    rows: 3,
    columns: 4,
};

/// One split; an image's numbers come from its seed.
#[derive(Clone, Copy)]
enum Piece {
    Text(&'static [u32]),
    Vit(Grid, u64),
    Clean(Grid, u64),
    Noised(Grid, u64, f32),
    LeftOut,
    /// A text that what follows does not see.
    Aside(&'static [u32]),
}

use Piece::{Aside, Clean, LeftOut, Noised, Text, Vit};

const TRUNK: &[Piece] = &[Text(&[421, 9, 300, 422]), Clean(LARGE, 1), Vit(SMALL, 2)];
const BRANCHES: &[&[Piece]] = &[
    &[
        Text(&[421, 44, 3, 422]),
        Noised(LARGE, 3, 0.7),
        Text(&[421, 8, 422]),
    ],
    &[Text(&[421, 7, 7, 7, 7, 7, 422])],
    &[
        Text(&[421, 44, 422]),
        Noised(SMALL, 4, 0.2),
        Vit(SMALL, 5),
        LeftOut,
        Text(&[421, 1, 422]),
    ],
    &[Noised(SMALL, 6, 0.5)],
];

struct Network {
    directory: ModelDirectory,
    model: UnifiedModel,
}

impl Network {
    fn of_the_fixture() -> Self {
        let directory = ModelDirectory::read(&fixture("checkpoint")).unwrap();
        let parameters = Parameters::new(directory.weights().unwrap(), &[]).unwrap();
        let model = directory.model(parameters.builder()).unwrap();
        Self { directory, model }
    }

    fn packer(&self) -> Packer {
        Packer::new(self.directory.tokenizer.control)
    }

    fn noise(&self, grid: Grid, width: usize, seed: u64) -> Tensor {
        let mut noise = Noise::seeded(seed);
        noise
            .normal((grid.n_tokens(), width), &Device::Cpu)
            .unwrap()
    }

    fn add(&self, packer: &mut Packer, pieces: &[Piece]) {
        let config = &self.directory.config;
        let (patch, latent) = (3 * config.vit.patch_size.pow(2), config.patch_latent_dim());
        for piece in pieces {
            match *piece {
                Text(ids) => {
                    packer.prefill_text(ids);
                }
                Vit(grid, seed) => packer.add_vit(self.noise(grid, patch, seed), grid),
                Clean(grid, seed) => packer.add_clean(self.noise(grid, latent, seed), grid),
                Noised(grid, seed, t) => {
                    packer.add_noised(self.noise(grid, latent, seed), t, grid);
                }
                LeftOut => packer.skip_image(),
                Aside(ids) => {
                    packer.add_aside(ids);
                }
            }
        }
    }

    fn run(&self, packer: Packer) -> Hidden {
        packer
            .finish(&Device::Cpu)
            .unwrap()
            .forward(&self.model)
            .unwrap()
    }

    /// A sample of its own.
    fn alone(&self, parts: &[&[Piece]]) -> Hidden {
        let mut packer = self.packer();
        packer.begin_sample();
        for pieces in parts {
            self.add(&mut packer, pieces);
        }
        self.run(packer)
    }
}

/// Rows of [`Hidden::text`] and of [`Hidden::latents`].
fn n_rows(pieces: &[Piece]) -> [usize; 2] {
    pieces
        .iter()
        .fold([0, 0], |[ids, latents], piece| match piece {
            Text(text) | Aside(text) => [ids + text.len(), latents],
            Vit(..) => [ids + 2, latents],
            Clean(grid, _) | Noised(grid, ..) => [ids + 2, latents + grid.n_tokens()],
            LeftOut => [ids, latents],
        })
}

/// Everything that lies in `n` rows from `start` is the same in both.
#[track_caller]
fn check_same(a: (&Hidden, [usize; 2]), b: (&Hidden, [usize; 2]), n: [usize; 2]) {
    let rows = |(hidden, start): (&Hidden, [usize; 2]), kind: usize| {
        let all = [Some(&hidden.text), hidden.latents.as_ref()][kind].unwrap();
        all.narrow(0, start[kind], n[kind]).unwrap()
    };
    for kind in (0..2).filter(|kind| n[*kind] > 0) {
        let most = difference(&rows(a, kind), &rows(b, kind));
        assert!(most < TOLERANCE, "{}: {most}", ["text", "latents"][kind]);
    }
}

fn plus(a: [usize; 2], b: [usize; 2]) -> [usize; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

#[test]
fn a_branch_is_the_trunk_and_it_alone() {
    let network = Network::of_the_fixture();
    let mut packer = network.packer();
    packer.begin_sample();
    network.add(&mut packer, TRUNK);
    for branch in BRANCHES {
        packer.begin_branch();
        network.add(&mut packer, branch);
    }
    let packed = network.run(packer);
    let trunk = n_rows(TRUNK);
    let mut start = trunk;
    for branch in BRANCHES {
        let alone = network.alone(&[TRUNK, branch]);
        check_same((&packed, [0, 0]), (&alone, [0, 0]), trunk);
        check_same((&packed, start), (&alone, trunk), n_rows(branch));
        start = plus(start, n_rows(branch));
    }
    // The test is not blind: a branch sees the trunk.
    let rootless = network.alone(&[BRANCHES[1]]).text;
    let rooted = network.alone(&[TRUNK, BRANCHES[1]]).text;
    let rooted = rooted.narrow(0, trunk[0], 7).unwrap();
    assert!(difference(&rootless, &rooted) > 0.01);
}

#[test]
fn a_batch_is_its_samples_alone() {
    let network = Network::of_the_fixture();
    let samples = [BRANCHES[2], TRUNK, BRANCHES[1], BRANCHES[3], TRUNK];
    let mut packer = network.packer();
    for sample in samples {
        packer.begin_sample();
        network.add(&mut packer, sample);
    }
    let packed = network.run(packer);
    let mut start = [0, 0];
    for sample in samples {
        let alone = network.alone(&[sample]);
        check_same((&packed, start), (&alone, [0, 0]), n_rows(sample));
        start = plus(start, n_rows(sample));
    }
}

#[test]
fn nothing_sees_a_noised_image_from_outside() {
    let network = Network::of_the_fixture();
    let before: &[Piece] = &[Text(&[421, 44, 3, 422])];
    let after: &[Piece] = &[Vit(SMALL, 2), Text(&[421, 8, 422])];
    let [one, other] = [[Noised(LARGE, 3, 0.7)], [Noised(LARGE, 9, 0.1)]];
    let (one, other) = (
        network.alone(&[before, &one, after]),
        network.alone(&[before, &other, after]),
    );
    check_same((&one, [0, 0]), (&other, [0, 0]), n_rows(before));
    let start = plus(n_rows(before), [2, 0]);
    check_same((&one, start), (&other, start), [n_rows(after)[0], 0]);
    let (one, other) = (one.latents.unwrap(), other.latents.unwrap());
    assert!(difference(&one, &other) > 0.01);
}

#[test]
fn an_aside_sees_what_is_before_and_is_seen_by_nothing() {
    let network = Network::of_the_fixture();
    let aside: &[Piece] = &[Aside(&[421, 5, 6, 422])];
    let same_text: &[Piece] = &[Text(&[421, 5, 6, 422])];
    let after: &[Piece] = &[Text(&[421, 8, 422]), Noised(SMALL, 6, 0.5)];
    let with = network.alone(&[TRUNK, aside, after]);
    let trunk = n_rows(TRUNK);
    let then = plus(trunk, n_rows(aside));
    check_same(
        (&with, trunk),
        (&network.alone(&[TRUNK, same_text]), trunk),
        n_rows(aside),
    );
    check_same(
        (&with, then),
        (&network.alone(&[TRUNK, after]), trunk),
        n_rows(after),
    );
}
