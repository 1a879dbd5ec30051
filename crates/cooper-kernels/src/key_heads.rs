//! Keys and values as attention on a CPU reads them: in place.

use candle_core::{CpuStorage, D, Layout, Result, Storage, Tensor, WithDType, bail};

/// Keys or values (kv, m, d) where a context holds them: row-major within a head, with a stride between heads.
#[derive(Debug)]
pub struct KeyHeads<'a, T> {
    numbers: &'a [T],
    n_heads: usize,
    /// Numbers from one head to the next.
    stride: usize,
    /// Numbers of a head, m·d.
    len: usize,
}

impl<'a, T: WithDType> KeyHeads<'a, T> {
    /// Call `f` with keys and values (kv, m, d) on a CPU. Copies only heads that are not row-major.
    ///
    /// # Errors
    /// If they are on another device or of another type.
    pub fn with_keys_and_values<R>(
        k: &Tensor,
        v: &Tensor,
        f: impl FnOnce(&KeyHeads<T>, &KeyHeads<T>) -> R,
    ) -> Result<R> {
        let k = row_major_heads(k)?;
        let v = row_major_heads(v)?;
        let (k_storage, k_layout) = k.storage_and_layout();
        let (v_storage, v_layout) = v.storage_and_layout();
        let (Storage::Cpu(k_storage), Storage::Cpu(v_storage)) = (&*k_storage, &*v_storage) else {
            bail!("attention: expected keys and values on the CPU, got another device");
        };
        Ok(f(
            &KeyHeads::new(k_storage, k_layout)?,
            &KeyHeads::new(v_storage, v_layout)?,
        ))
    }

    fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (n_heads, m, d) = layout.shape().dims3()?;
        Ok(Self {
            numbers: &storage.as_slice()?[layout.start_offset()..],
            n_heads,
            stride: layout.stride()[0],
            len: m * d,
        })
    }

    /// Number of heads.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// The numbers (m, d) of a head.
    pub fn head(&self, i: usize) -> &[T] {
        &self.numbers[i * self.stride..][..self.len]
    }
}

fn row_major_heads(xs: &Tensor) -> Result<Tensor> {
    let d = xs.dim(D::Minus1)?;
    match xs.layout().stride()[1..] == [d, 1] {
        true => Ok(xs.clone()),
        false => xs.contiguous(),
    }
}
