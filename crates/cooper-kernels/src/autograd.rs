//! Hand-written gradients: a value computed by any means joins candle's graph with its own backward.
//!
//! Candle's own graph of small operations would write every intermediate result to memory, forwards and backwards;
//! in training that takes longer than the matrix products. CPU and f32 only: elsewhere the plain forms are used.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor,
    bail,
};

/// Whether an operation on these wants a gradient that is written by hand here.
pub fn by_hand(tensors: &[&Tensor]) -> bool {
    tensors.iter().any(|t| t.track_op()) && tensors.iter().all(|t| is_ours(t))
}

/// Whether our own forms are for it: on the CPU, in f32.
pub fn is_ours(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

/// Let `f` read the values of CPU tensors in f32, row-major.
///
/// # Errors
/// If a tensor is elsewhere or of another type.
pub fn values<const N: usize, R>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
    all_values(&tensors, |slices| f(std::array::from_fn(|i| slices[i])))
}

/// [`values`] of any number.
///
/// # Errors
/// If a tensor is elsewhere or of another type.
pub fn all_values<R>(tensors: &[&Tensor], f: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
    let contiguous = tensors.iter().map(|tensor| tensor.contiguous());
    let contiguous = contiguous.collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let slices = guards.iter().map(|(storage, layout)| {
        let Storage::Cpu(storage) = &**storage else {
            bail!("expected a tensor on the CPU, got one elsewhere");
        };
        let start = layout.start_offset();
        Ok(&storage.as_slice::<f32>()?[start..start + layout.shape().elem_count()])
    });
    let slices = slices.collect::<Result<Vec<_>>>()?;
    Ok(f(&slices))
}

/// Gradients of one, two or three arguments from (arguments, result's gradient).
type Backward<const N: usize> = dyn Fn([&Tensor; N], &Tensor) -> Result<[Tensor; N]> + Send + Sync;

/// A computed value with its backward.
struct Computed<const N: usize> {
    value: Tensor,
    backward: Box<Backward<N>>,
}

impl<const N: usize> Computed<N> {
    fn storage(&self) -> Result<(CpuStorage, Shape)> {
        let copy = values([&self.value], |[value]| value.to_vec())?;
        Ok((CpuStorage::F32(copy), self.value.shape().clone()))
    }
}

/// `value`, as a function of `x`; `backward` gives the gradient of `x` from the value's.
///
/// # Errors
/// If `value` is not f32 on the CPU.
pub fn computed1(
    x: &Tensor,
    value: Tensor,
    backward: impl Fn([&Tensor; 1], &Tensor) -> Result<[Tensor; 1]> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op1(Computed {
        value,
        backward: Box::new(backward),
    })
}

/// As [`computed1`], of two arguments.
///
/// # Errors
/// If `value` is not f32 on the CPU.
pub fn computed2(
    [x, y]: [&Tensor; 2],
    value: Tensor,
    backward: impl Fn([&Tensor; 2], &Tensor) -> Result<[Tensor; 2]> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op2(
        y,
        Computed {
            value,
            backward: Box::new(backward),
        },
    )
}

/// As [`computed1`], of three arguments.
///
/// # Errors
/// If `value` is not f32 on the CPU.
pub fn computed3(
    [x, y, z]: [&Tensor; 3],
    value: Tensor,
    backward: impl Fn([&Tensor; 3], &Tensor) -> Result<[Tensor; 3]> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op3(
        y,
        z,
        Computed {
            value,
            backward: Box::new(backward),
        },
    )
}

impl CustomOp1 for Computed<1> {
    fn name(&self) -> &'static str {
        "computed1"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.storage()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [x] = (self.backward)([x], grad)?;
        Ok(Some(x))
    }
}

impl CustomOp2 for Computed<2> {
    fn name(&self) -> &'static str {
        "computed2"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.storage()
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [x, y] = (self.backward)([x, y], grad)?;
        Ok((Some(x), Some(y)))
    }
}

impl CustomOp3 for Computed<3> {
    fn name(&self) -> &'static str {
        "computed3"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.storage()
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        z: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [x, y, z] = (self.backward)([x, y, z], grad)?;
        Ok((Some(x), Some(y), Some(z)))
    }
}
