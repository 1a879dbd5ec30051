//! Candle operations that the network needs, each in one place.
//!
//! Candle's fused norm, softmax and rope have no backward, silently. So each op here picks the fused kernel
//! only when nothing in its input is tracked for gradients, and the differentiable form otherwise.

pub mod attention;
pub mod checkpoint;
pub mod device;
pub mod norm;
pub mod random;
pub mod rope;

pub use attention::{attention, causal_mask};
pub use device::{DeviceChoice, DtypeChoice};
pub use norm::{LayerNorm, RmsNorm};
pub use random::Noise;
pub use rope::RotaryEmbedding;
