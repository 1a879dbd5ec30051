//! `cooper_node`, the ROS 2 node: topics, services, the action and parameters around the model's thread.
//!
//! Three kinds of threads that never wait for each other: one spins (`spin.rs`), tokio's run a small task per topic and
//! request, one owns the model ([`cooper_perception::pipeline::Worker`]).
//! Start at `node.rs`; `requests.rs` is the way from a request to the model and back.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod actions;
mod cameras;
mod clock;
mod codes;
mod conclusion;
mod continuous;
mod convert;
mod diagnostics;
mod drawing;
mod feedback;
mod incoming;
mod label_info;
mod loading;
mod markers;
mod measure;
mod metric_maps;
mod metric_scale;
mod node;
mod params;
mod remap;
mod requests;
mod results;
mod rosout;
mod scale_status;
mod segment;
mod services;
mod silence;
mod spin;
mod status;
mod subscriptions;
mod tasks;
mod topics;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use cooper_kernels::{keep_one_heap, use_threads};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    keep_one_heap();
    use_threads(0);
    let (rosout, events) = rosout::rosout();
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
            tracing::error!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(node::run(events));
    // A model that is still loading would be waited for; it ends with the process.
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
