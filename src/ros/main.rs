//! `cooper_node`, the ROS 2 node: topics, services, the action and parameters around the model's thread.
//!
//! **What it is for.** It translates between ROS and the library: messages become frames, requests become tasks of the
//! model's queue, results become messages, errors become codes. It is the only part of the workspace that knows r2r.
//!
//! **What it must never know.** The network: no tensor, no token, no flow step; the model is a [`Worker`] that takes
//! tasks. The command line and the trainer: the node is built without them. And no task waits for the model on the
//! thread that spins.
//!
//! **Threads.** One spins (`spin`), tokio's two run a small task per topic and per request (`tasks`), one owns the model
//! ([`Worker`]); work that takes long runs on tokio's blocking threads.
//!
//! **Where to start.**
//! - `arguments`: what the command line asks for; `node`: from start to stop; `setup` creates the endpoints; `shared` is what all tasks share.
//! - `requests`: a request from its fields to the model and back; `services`, `reason` (the action) and `continuous`
//!   (the maps) use it.
//! - `camera` and `metric`: a camera's frames, and its scale; `availability` explains a topic without messages.
//! - `convert`: messages to the library's types and back; `codes`: the numbers of the interfaces.
//!
//! Every topic, service and action is named in [`cooper_perception::config::interfaces`], every parameter in
//! [`cooper_perception::config::parameters()`].
//!
//! [`Worker`]: cooper_perception::pipeline::Worker
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod arguments;
mod availability;
mod camera;
mod clock;
mod codes;
mod continuous;
mod convert;
mod diagnostics;
mod drawing;
mod incoming;
mod label_info;
mod loading;
mod markers;
mod metric;
mod node;
mod params;
mod reason;
mod remap;
mod requests;
mod rosout;
mod services;
mod setup;
mod shared;
mod spin;
mod subscriptions;
mod tasks;
mod topics;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use cooper_kernels::{keep_one_heap, use_threads};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::arguments::Invocation;

/// The exit code of wrong usage.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    // Without standard streams, there is no place for a failure to write either.
    match arguments::read(std::env::args().skip(1)) {
        Invocation::Run => run(),
        Invocation::Print(words) => {
            let _ = std::io::stdout().write_all(words.as_bytes());
            ExitCode::SUCCESS
        }
        Invocation::Refuse(why) => {
            let _ = writeln!(std::io::stderr(), "cooper_node: {why}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}

fn run() -> ExitCode {
    keep_one_heap();
    use_threads(0);
    let (rosout, log) = rosout::rosout();
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(filter())
        .with(stderr)
        .with(rosout)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start tokio: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(node::run(log));
    // Does not wait for a model that is still loading: that ends with the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// RUST_LOG, else the level of `--log-level`, else info.
fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(log_level().unwrap_or("info".into())))
}

/// The level after `--log-level`, as ROS's tools give it: `debug` or `cooper:=debug`.
fn log_level() -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--log-level");
    let given = arguments.nth(1)?.to_lowercase();
    let level = given.rsplit(":=").next().unwrap_or(&given);
    match level {
        "fatal" => Some("error".into()),
        "debug" | "info" | "warn" | "error" => Some(level.into()),
        _ => None,
    }
}
