//! Gradients of our own: a value computed by any means joins candle's graph with a backward.
//!
//! A graph of candle's small operations writes every intermediate result to memory, forwards and backwards; in training that
//! takes longer than the matmuls. For f32 on the CPU only; on other devices the operations take candle's forms.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor,
    bail,
};

/// Whether an operation on these tensors needs a backward of our own: one is tracked, and all are f32 on the CPU.
pub fn needs_own_backward(tensors: &[&Tensor]) -> bool {
    tensors.iter().any(|t| t.track_op()) && tensors.iter().all(|t| is_cpu_f32(t))
}

/// Whether a tensor is f32 on the CPU, for which we have operations of our own.
pub fn is_cpu_f32(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

/// Call `f` with the numbers of tensors, row-major.
///
/// # Errors
/// If a tensor is not f32 on the CPU.
pub fn with_slices<const N: usize, R>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
    with_all_slices(&tensors, |slices| f(std::array::from_fn(|i| slices[i])))
}

/// [`with_slices`] for any number of tensors.
///
/// # Errors
/// If a tensor is not f32 on the CPU.
pub fn with_all_slices<R>(tensors: &[&Tensor], f: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
    let contiguous = tensors.iter().map(|tensor| tensor.contiguous());
    let contiguous = contiguous.collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let slices = guards.iter().map(|(storage, layout)| {
        let Storage::Cpu(storage) = &**storage else {
            bail!("expected a tensor on the CPU, got one on another device");
        };
        let start = layout.start_offset();
        Ok(&storage.as_slice::<f32>()?[start..start + layout.shape().elem_count()])
    });
    let slices = slices.collect::<Result<Vec<_>>>()?;
    Ok(f(&slices))
}

/// From the arguments and the result's gradient to the gradients of the arguments.
type Backward<const N: usize> = dyn Fn([&Tensor; N], &Tensor) -> Result<[Tensor; N]> + Send + Sync;

/// A value with its backward.
struct WithBackward<const N: usize> {
    value: Tensor,
    backward: Box<Backward<N>>,
}

impl<const N: usize> WithBackward<N> {
    fn storage(&self) -> Result<(CpuStorage, Shape)> {
        let copy = with_slices([&self.value], |[value]| value.to_vec())?;
        Ok((CpuStorage::F32(copy), self.value.shape().clone()))
    }
}

/// `value`, as a function of `x`; `backward` gives the gradient of `x` from the value's.
///
/// # Errors
/// If `value` is not f32 on the CPU.
pub fn with_backward1(
    x: &Tensor,
    value: Tensor,
    backward: impl Fn([&Tensor; 1], &Tensor) -> Result<[Tensor; 1]> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op1(WithBackward {
        value,
        backward: Box::new(backward),
    })
}

/// As [`with_backward1`], of two arguments.
///
/// # Errors
/// If `value` is not f32 on the CPU.
pub fn with_backward2(
    [x, y]: [&Tensor; 2],
    value: Tensor,
    backward: impl Fn([&Tensor; 2], &Tensor) -> Result<[Tensor; 2]> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op2(
        y,
        WithBackward {
            value,
            backward: Box::new(backward),
        },
    )
}

/// As [`with_backward1`], of three arguments.
///
/// # Errors
/// If `value` is not f32 on the CPU.
pub fn with_backward3(
    [x, y, z]: [&Tensor; 3],
    value: Tensor,
    backward: impl Fn([&Tensor; 3], &Tensor) -> Result<[Tensor; 3]> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op3(
        y,
        z,
        WithBackward {
            value,
            backward: Box::new(backward),
        },
    )
}

impl CustomOp1 for WithBackward<1> {
    fn name(&self) -> &'static str {
        "with-backward-1"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.storage()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [x] = (self.backward)([x], grad)?;
        Ok(Some(x))
    }
}

impl CustomOp2 for WithBackward<2> {
    fn name(&self) -> &'static str {
        "with_backward2"
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

impl CustomOp3 for WithBackward<3> {
    fn name(&self) -> &'static str {
        "with_backward3"
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
