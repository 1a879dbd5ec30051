//! Euler's method from noise to data.

use candle_core::{DType, Error, Tensor};

use super::schedule::Schedule;

/// Follow `velocity(x_t, t)` from `noise` (n, c) at t = 1 to the data at t = 0; the state stays f32.
///
/// # Errors
/// The first error of `velocity`.
pub fn sample<E: From<Error>>(
    noise: Tensor,
    schedule: &Schedule,
    mut velocity: impl FnMut(&Tensor, f32) -> Result<Tensor, E>,
) -> Result<Tensor, E> {
    let mut x_t = noise;
    for (t, dt) in schedule.steps() {
        let v = velocity(&x_t, t)?.to_dtype(DType::F32)?;
        x_t = (x_t - (v * f64::from(dt))?)?;
    }
    Ok(x_t)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_constant_velocity_is_followed_exactly() {
        let noise = Tensor::new(&[[1f32, -2.0]], &Device::Cpu).unwrap();
        let data = sample(noise.clone(), &Schedule::new(7, 3.0), |_, _| {
            Ok::<_, Error>(noise.clone())
        });
        let rest: Vec<f32> = data
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert!(rest.iter().all(|x| *x < 1e-6), "{rest:?}");
    }
}
