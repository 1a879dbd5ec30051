//! Ask a question about an image, and say when the model looked at a map.
//!
//! cargo run --release -p cooper-model --example ask -- models/cooper-nano room.png "How far is the red box?"

use std::path::Path;
use std::process::ExitCode;

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
    let [dir, image, question] = arguments.as_slice() else {
        let why = format!("expected MODEL_DIR IMAGE QUESTION, got {arguments:?}");
        return Err(Error::invalid("arguments", why));
    };
    let cooper = Cooper::open(Path::new(dir))?;
    let image = cooper_model::load_rgb(Path::new(image))?;
    let transcript = cooper.ask(&image, question)?;
    for map in &transcript.evidence {
        println!(
            "turn {}: drew a {} map in {} steps",
            map.turn,
            map.kind.word(),
            map.steps
        );
    }
    println!("{}: {}", transcript.status, transcript.answer);
    Ok(())
}
