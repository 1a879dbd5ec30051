//! Draw the relative depth of an image and save it twice: in colours (near is red, far is violet) and as 16-bit greys
//! (0 near to 65535 far), as `cooper depth` writes it.
//!
//! cargo run --release -p cooper-model --example depth -- models/cooper-nano room.png colors.png depth.png

use std::path::Path;
use std::process::ExitCode;

use cooper_model::image::ImageError;
use cooper_model::{Cooper, Error, Result};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, image, colors, greys] = arguments.as_slice() else {
        let why = format!("expected MODEL_DIR IMAGE COLORS.png GREYS.png, got {arguments:?}");
        return Err(Error::invalid("arguments", why));
    };
    let cooper = Cooper::open(Path::new(dir))?;
    let image = cooper_model::load_rgb(Path::new(image))?;
    let depth = cooper.estimate_depth(&image)?;
    let cannot = |path: &str, error: ImageError| Error::invalid(path, error.to_string());
    let saved = depth.color().save(colors);
    saved.map_err(|error| cannot(colors, error))?;
    let saved = depth.grey16().save(greys);
    saved.map_err(|error| cannot(greys, error))?;
    let mean = depth.values.iter().sum::<f32>() / depth.values.len() as f32;
    println!(
        "{colors}, {greys}: {} x {} pixels, mean relative depth {mean:.2}",
        depth.width, depth.height
    );
    Ok(())
}
