//! The node's clock: the system's, or /clock with `use_sim_time`.

use std::sync::{Arc, Mutex, PoisonError};

use r2r::builtin_interfaces::msg::Time;
use r2r::std_msgs::msg::Header;

/// The node's clock; clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<r2r::Clock>>);

impl Clock {
    /// The clock of `node`.
    pub fn new(node: &r2r::Node) -> Self {
        Self(node.get_ros_clock())
    }

    /// The time; zero if there is none yet.
    pub fn now(&self) -> Time {
        let mut clock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock
            .get_now()
            .map(|now| r2r::Clock::to_builtin_time(&now))
            .unwrap_or_default()
    }

    /// Seconds from `stamp` to now; negative for a stamp in the future.
    pub fn seconds_since(&self, stamp: &Time) -> f64 {
        let now = self.now();
        let seconds = f64::from(now.sec) - f64::from(stamp.sec);
        seconds + (f64::from(now.nanosec) - f64::from(stamp.nanosec)) * 1e-9
    }

    /// A header with this time and no frame.
    pub fn header(&self) -> Header {
        Header {
            stamp: self.now(),
            frame_id: String::new(),
        }
    }
}
