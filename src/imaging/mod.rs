//! Pictures before and after the network: files, cameras' encodings, Pillow's resize, normalisation, patches, colours.

mod colormap;
mod encoding;
mod file;
mod load;
mod pixels;
mod resize;

pub use colormap::{spectral, spectral_lut, spectral_paints};
pub use encoding::{BayerOrder, Encoding, RawImage};
pub use file::{encode_png, sha256};
pub use load::{decode_rgb, load_grey, load_grey16, load_rgb, to_rgb};
pub use pixels::{Normalization, from_unit_pixels, patchify};
pub use resize::{ResizeRule, bicubic, bicubic_whole};
