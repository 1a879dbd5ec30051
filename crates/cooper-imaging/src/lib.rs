//! Images outside of the network: files, camera encodings, message headers, Pillow's resize, colormaps;
//! and what all crates need for files: the error, and [`NewFile`], which appears complete or not at all.
//!
//! - It knows pixels and files. It must never know tensors, the network, or ROS.
//! - Start at [`RawImage`] for camera messages, [`load_rgb`] for files, and [`ResizeRule`] for the sizes that the network wants.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod colormap;
mod encoding;
mod error;
mod file;
mod header;
mod load;
mod new_file;
mod raster;
mod resize;
mod text;

pub use colormap::{spectral, spectral_lut, spectral_paints};
pub use encoding::{BayerOrder, Encoding, RawImage};
pub use error::{Error, Result};
pub use file::{MAP_ENDINGS, encode_png, is_map_name, sha256};
pub use header::FrameHeader;
pub use load::{decode_rgb, load_grey, load_grey16, load_rgb, to_rgb};
pub use new_file::{NewFile, NewFolder, folder_of, write_file};
pub use raster::Raster;
pub use resize::{ResizeRule, bicubic, bicubic_i32};
pub use text::write_text;
