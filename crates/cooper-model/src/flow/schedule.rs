//! The times at which the flow is evaluated.

/// Shifted times from 1 (noise) to 0 (data), in f32 as the reference computes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    times: Vec<f32>,
}

impl Schedule {
    /// `n_points` points, so one step fewer: `t = s·u / (1 + (s − 1)·u)` for u evenly from 1 to 0.
    ///
    /// Source: BAGEL `modeling/bagel/bagel.py`, `generate_image`.
    pub fn new(n_points: usize, timestep_shift: f64) -> Self {
        let shift = timestep_shift as f32;
        let n_steps = n_points.saturating_sub(1).max(1);
        let step = -1.0 / n_steps as f32;
        let times = (0..=n_steps)
            .map(|i| {
                // As torch.linspace: counted from the nearer end.
                let u = if i <= n_steps / 2 {
                    1.0 + step * i as f32
                } else {
                    -step * (n_steps - i) as f32
                };
                shift * u / (1.0 + (shift - 1.0) * u)
            })
            .collect();
        Self { times }
    }

    /// How many velocities are evaluated.
    pub fn n_steps(&self) -> usize {
        self.times.len() - 1
    }

    /// Each step's time and its distance to the next time.
    pub fn steps(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        self.times
            .windows(2)
            .map(|pair| (pair[0], pair[0] - pair[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_points_are_the_released_schedule() {
        let steps: Vec<_> = Schedule::new(50, 3.0).steps().collect();
        assert_eq!(steps.len(), 49);
        assert_eq!(steps[0].0, 1.0);
        assert!((steps[1].0 - 0.993_103).abs() < 1e-6);
        assert!((steps[48].0 - 0.058_823_5).abs() < 1e-6);
        assert_eq!(steps.iter().filter(|(t, _)| *t > 0.4).count(), 41);
    }

    #[test]
    fn steps_lead_from_one_to_zero() {
        for n_points in 2..60 {
            let sum: f32 = Schedule::new(n_points, 3.0).steps().map(|(_, dt)| dt).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{n_points} points: {sum}");
        }
    }
}
