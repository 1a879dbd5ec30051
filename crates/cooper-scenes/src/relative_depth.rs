//! Metres as relative depth.

/// Metres on a line from 0 at `near_m` to 1 at `far_m`, clamped.
pub fn relative_depth(metres: &[f32], near_m: f32, far_m: f32) -> Vec<f32> {
    // Equal ends: everything is near or far.
    let range = (far_m - near_m).max(f32::MIN_POSITIVE);
    let relative = |depth: &f32| ((depth - near_m) / range).clamp(0.0, 1.0);
    metres.iter().map(relative).collect()
}
