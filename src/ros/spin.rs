//! The thread that spins: it owns the ROS node and does nothing that takes time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use r2r::Node;
use r2r::qos::ReliabilityPolicy;
use tokio::sync::oneshot;

use super::cameras::Camera;
use super::silence::Offer;
use crate::error::{Error, Result};

/// The longest wait for events; also how late a cancel's reply can be.
const WAIT: Duration = Duration::from_millis(5);
/// The shortest turn: ten seconds after the first goal rcl stops waiting, for ever (sequenceplanner/r2r#136).
const SHORTEST_TURN: Duration = Duration::from_millis(1);
/// How often the graph is asked who publishes pictures.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// The spinning thread.
pub struct Spin {
    running: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    over: oneshot::Receiver<()>,
}

impl Spin {
    /// Spin `node`, and keep telling `cameras` who publishes on their topics.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn start(node: Node, cameras: Vec<Arc<Camera>>) -> Result<Self> {
        let running = Arc::new(AtomicBool::new(true));
        let of_thread = running.clone();
        let (alive, over) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("ros".into())
            .spawn(move || spin(node, &cameras, &of_thread, alive))
            .map_err(|error| Error::Internal(format!("no thread for ROS: {error}")))?;
        Ok(Self {
            running,
            thread,
            over,
        })
    }

    /// Wait until the thread ends without having been told to: it has panicked, and the node hears nothing any more.
    pub async fn ended(&mut self) -> Error {
        let _ = (&mut self.over).await;
        Error::Internal("the thread that spins the node has ended".into())
    }

    /// Stop spinning and drop the node: nothing can be published or replied afterwards.
    pub fn stop(self) {
        self.running.store(false, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// `_alive` comes last, so that it is dropped first: the thread's end is told before that of the tasks that it feeds.
fn spin(
    mut node: Node,
    cameras: &[Arc<Camera>],
    running: &AtomicBool,
    _alive: oneshot::Sender<()>,
) {
    let mut looked = None;
    while running.load(Ordering::Relaxed) {
        let turn = Instant::now();
        if looked.is_none_or(|looked| turn.duration_since(looked) > LOOK_AROUND) {
            looked = Some(turn);
            look_around(&node, cameras);
        }
        node.spin_once(WAIT);
        std::thread::sleep(SHORTEST_TURN.saturating_sub(turn.elapsed()));
    }
}

fn look_around(node: &Node, cameras: &[Arc<Camera>]) {
    for camera in cameras {
        let Ok(publishers) = node.get_publishers_info_by_topic(&camera.topic, false) else {
            continue;
        };
        let offers = publishers.into_iter().map(|publisher| Offer {
            node: format!(
                "{}/{}",
                publisher.node_namespace.trim_end_matches('/'),
                publisher.node_name
            ),
            type_name: publisher.topic_type,
            reliable: publisher.qos_profile.reliability == ReliabilityPolicy::Reliable,
        });
        camera.put_offers(offers.collect());
    }
}
