//! The ROS 2 node's process: logging, the runtime, one message when it cannot start.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use cooper_perception::ros;
use cooper_perception::tensor::{keep_one_heap, use_threads};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    keep_one_heap();
    use_threads(0);
    let (rosout, events) = ros::rosout();
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
    let ended = runtime.block_on(ros::run(events));
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
