//! Smooth edges: where two things meet in a pixel, it shows a part of each.

use glam::Vec3A;

use super::super::stage::Stage;
use super::super::viewpoint::pixel_ray;
use super::trace::{NOTHING, Seen};
use crate::camera::Camera;

/// Where in the pixel more rays are sent; one has been sent to its centre.
const OFFSETS: [[f32; 2]; 2] = [[-0.33, -0.17], [0.33, 0.17]];

/// Replace the light of pixels at edges by the mean over parts of the pixel.
///
/// What a part shows is coloured as the pixel beside it that shows the same thing.
pub(super) fn smooth_edges(stage: &Stage, camera: &Camera, seen: &Seen, light: &mut [Vec3A]) {
    let source = light.to_owned();
    for (i, pixel) in light.iter_mut().enumerate() {
        let neighbours = neighbours(i, seen);
        if !neighbours.iter().any(|&j| is_edge(seen, i, j)) {
            continue;
        }
        let (x, y) = ((i % seen.width) as f32, (i / seen.width) as f32);
        let parts = OFFSETS.map(|[dx, dy]| {
            let hit = stage.nearest(pixel_ray(camera, x + dx, y + dy));
            let (id, depth) = hit.map_or((NOTHING, 0.0), |hit| (stage.id(&hit), hit.t));
            let off = |j: usize| {
                let other = if seen.ids[j] == id { 0.0 } else { 1e3 };
                other + (seen.depth[j] - depth).abs()
            };
            // The pixel itself comes first: it wins if others are no nearer.
            let mut best = (off(i), i);
            for &j in &neighbours {
                if off(j) < best.0 - 1e-3 {
                    best = (off(j), j);
                }
            }
            source[best.1].min(Vec3A::splat(8.0))
        });
        let own = source[i].min(Vec3A::splat(8.0));
        *pixel = (own + parts.into_iter().sum::<Vec3A>()) / (1 + OFFSETS.len()) as f32;
    }
}

/// Left, right, above, below; the pixel itself at the image's edges.
fn neighbours(i: usize, seen: &Seen) -> [usize; 4] {
    let (x, y) = (i % seen.width, i / seen.width);
    [
        if x > 0 { i - 1 } else { i },
        if x + 1 < seen.width { i + 1 } else { i },
        if y > 0 { i - seen.width } else { i },
        if y + 1 < seen.height {
            i + seen.width
        } else {
            i
        },
    ]
}

fn is_edge(seen: &Seen, i: usize, j: usize) -> bool {
    if seen.ids[i] != seen.ids[j] || seen.normals[i].dot(seen.normals[j]) < 0.7 {
        return true;
    }
    // A floor that goes away from the camera is no edge, however much its depth changes.
    let off_plane = (seen.points[j] - seen.points[i])
        .dot(seen.face_normals[i])
        .abs();
    off_plane > 0.03 * seen.depth[i]
}
