//! The thread that spins: it owns the ROS node and does nothing that takes time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cooper_model::{Error, Result};
use futures::{FutureExt, Stream, StreamExt};
use r2r::Node;
use r2r::qos::{DurabilityPolicy, ReliabilityPolicy};
use r2r::sensor_msgs::msg::CameraInfo;
use tokio::sync::oneshot;

use crate::availability::{PublisherInfo, Reliability};
use crate::camera::Camera;
use crate::incoming::IncomingRequests;
use crate::subscriptions;

/// The longest wait for events; also the longest delay of a reply to a cancel request.
const MAX_WAIT: Duration = Duration::from_millis(5);
/// The shortest iteration of an idle node: ten seconds after the first goal rcl stops waiting, for ever
/// (sequenceplanner/r2r#136). Iterations of 1 ms would keep 4 % of a core busy, these keep 2 %.
const IDLE_PERIOD: Duration = Duration::from_millis(4);
/// The shortest iteration in the second after a request: the middleware keeps ten goals, and they come in bursts.
const BUSY_PERIOD: Duration = Duration::from_millis(1);
/// How long the node counts as busy after a request.
const BUSY_TIME: Duration = Duration::from_secs(1);
/// The time between two reads of the graph.
const GRAPH_PERIOD: Duration = Duration::from_millis(500);

/// The spinning thread.
pub struct Spin {
    running: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    over: oneshot::Receiver<()>,
}

impl Spin {
    /// Spin `node`, update the publishers of `cameras`, and drain `incoming`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn start(
        node: Node,
        cameras: Vec<Arc<Camera>>,
        incoming: IncomingRequests,
    ) -> Result<Self> {
        let running = Arc::new(AtomicBool::new(true));
        let is_running = running.clone();
        let (alive, over) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("ros".into())
            .spawn(move || spin(node, &cameras, incoming, &is_running, alive))
            .map_err(|error| Error::Internal(format!("no thread for ROS: {error}")))?;
        Ok(Self {
            running,
            thread,
            over,
        })
    }

    /// Wait until the thread ends without [`Spin::stop`]: it has panicked, and the node receives nothing more.
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

/// `_alive` is the last parameter, so that it is dropped first: the end of this thread is reported before that of the
/// tasks that it feeds.
fn spin(
    mut node: Node,
    cameras: &[Arc<Camera>],
    mut incoming: IncomingRequests,
    running: &AtomicBool,
    _alive: oneshot::Sender<()>,
) {
    let (mut graph_read, mut last_request) = (None, Instant::now());
    let mut latched: Vec<LatchedInfos> = Vec::new();
    while running.load(Ordering::Relaxed) {
        let begin = Instant::now();
        if graph_read.is_none_or(|read| begin.duration_since(read) > GRAPH_PERIOD) {
            graph_read = Some(begin);
            for camera in cameras {
                let has_latched = update_publishers(&node, camera);
                if has_latched && !latched.iter().any(|infos| infos.belongs_to(camera)) {
                    latched.extend(LatchedInfos::subscribe(&mut node, camera));
                }
            }
        }
        node.spin_once(MAX_WAIT);
        for infos in &mut latched {
            infos.receive();
        }
        if incoming.drain() {
            last_request = Instant::now();
        } else {
            let is_busy = last_request.elapsed() < BUSY_TIME;
            let period = if is_busy { BUSY_PERIOD } else { IDLE_PERIOD };
            std::thread::sleep(period.saturating_sub(begin.elapsed()));
        }
    }
}

/// Update the publishers on a camera's topics; whether one of them offers a latched CameraInfo.
fn update_publishers(node: &Node, camera: &Camera) -> bool {
    if let Some(publishers) = publishers(node, &camera.topic) {
        camera.set_publishers(publishers);
    }
    let scale = &camera.scale;
    let infos = publishers(node, &scale.info_topic);
    let references = publishers(node, &scale.reference_topic);
    let has_latched = infos.iter().flatten().any(|info| info.is_latched);
    if let (Some(infos), Some(references)) = (infos, references) {
        scale.set_publishers(infos, references);
    }
    has_latched
}

/// A subscription to a latched CameraInfo. Only a transient local subscription gets it, and that one is made only where
/// a publisher offers it: the middleware would report a QoS mismatch with any other publisher.
struct LatchedInfos {
    camera: Arc<Camera>,
    messages: Box<dyn Stream<Item = CameraInfo> + Unpin>,
}

impl LatchedInfos {
    fn subscribe(node: &mut Node, camera: &Arc<Camera>) -> Option<Self> {
        let messages = subscriptions::latched_infos(node, camera).inspect_err(|error| {
            tracing::warn!("cannot subscribe to a latched CameraInfo: {error}");
        });
        Some(Self {
            camera: camera.clone(),
            messages: Box::new(messages.ok()?),
        })
    }

    fn belongs_to(&self, camera: &Arc<Camera>) -> bool {
        Arc::ptr_eq(&self.camera, camera)
    }

    fn receive(&mut self) {
        while let Some(Some(info)) = self.messages.next().now_or_never() {
            self.camera.scale.set_camera_info(info);
        }
    }
}

/// The publishers on a topic; none if the graph cannot be read.
fn publishers(node: &Node, topic: &str) -> Option<Vec<PublisherInfo>> {
    let publishers = node.get_publishers_info_by_topic(topic, false).ok()?;
    let publishers = publishers.into_iter().map(|publisher| {
        let (namespace, name) = (publisher.node_namespace, publisher.node_name);
        PublisherInfo {
            node: format!("{}/{name}", namespace.trim_end_matches('/')),
            type_name: publisher.topic_type,
            reliability: match publisher.qos_profile.reliability {
                ReliabilityPolicy::Reliable => Reliability::Reliable,
                _ => Reliability::BestEffort,
            },
            is_latched: publisher.qos_profile.durability == DurabilityPolicy::TransientLocal,
        }
    });
    Some(publishers.collect())
}
