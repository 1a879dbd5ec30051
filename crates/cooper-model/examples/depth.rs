//! Draw the relative depth of an image and save it in colours: near is red, far is violet.
//!
//! cargo run --release -p cooper-model --example depth -- models/cooper-nano room.png depth.png

use std::path::Path;

use cooper_model::{Cooper, Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, dir, image, out] = arguments.as_slice() else {
        return Err(Error::invalid(
            "arguments",
            "expected MODEL_DIR IMAGE OUT.png",
        ));
    };
    let cooper = Cooper::open(Path::new(dir))?;
    let image = cooper_model::load_rgb(Path::new(image))?;
    let depth = cooper.estimate_depth(&image)?;
    let saved = depth.color().save(out);
    saved.map_err(|error| Error::invalid(out.as_str(), error.to_string()))?;
    let mean = depth.values.iter().sum::<f32>() / depth.values.len() as f32;
    println!(
        "{out}: {} x {} pixels, mean relative depth {mean:.2}",
        depth.width, depth.height
    );
    Ok(())
}
