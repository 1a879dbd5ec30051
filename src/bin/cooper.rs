//! `cooper`, the command line of the COOPER model; all of it is in [`cooper_perception::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    cooper_perception::cli::main()
}
