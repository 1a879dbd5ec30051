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

use super::cameras::Camera;
use super::incoming::Inboxes;
use super::silence::Offer;
use super::subscriptions;

/// The longest wait for events; also how late a cancel's reply can be.
const WAIT: Duration = Duration::from_millis(5);
/// The shortest turn when nothing has come for a while: ten seconds after the first goal rcl stops waiting, for ever
/// (sequenceplanner/r2r#136). Turns of 1 ms would keep 4 % of a core busy, these keep 2 %.
const SHORTEST_TURN: Duration = Duration::from_millis(4);
/// The shortest turn in the second after a goal or a call: the middleware keeps ten goals, and they come in bursts.
const BUSY_TURN: Duration = Duration::from_millis(1);
const BUSY: Duration = Duration::from_secs(1);
/// How often the graph is asked who publishes images.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// The spinning thread.
pub struct Spin {
    running: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    over: oneshot::Receiver<()>,
}

impl Spin {
    /// Spin `node`, keep telling `cameras` who publishes on their topics, and pass on what comes to `inboxes`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the operating system gives no thread.
    pub fn start(node: Node, cameras: Vec<Arc<Camera>>, inboxes: Inboxes) -> Result<Self> {
        let running = Arc::new(AtomicBool::new(true));
        let of_thread = running.clone();
        let (alive, over) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("ros".into())
            .spawn(move || spin(node, &cameras, inboxes, &of_thread, alive))
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
    mut inboxes: Inboxes,
    running: &AtomicBool,
    _alive: oneshot::Sender<()>,
) {
    let (mut looked, mut heard) = (None, Instant::now());
    let mut latched: Vec<LatchedInfos> = Vec::new();
    while running.load(Ordering::Relaxed) {
        let turn = Instant::now();
        if looked.is_none_or(|looked| turn.duration_since(looked) > LOOK_AROUND) {
            looked = Some(turn);
            for camera in cameras {
                let has_latched = look_around(&node, camera);
                if has_latched && !latched.iter().any(|infos| infos.is_of(camera)) {
                    latched.extend(LatchedInfos::of(&mut node, camera));
                }
            }
        }
        node.spin_once(WAIT);
        for infos in &mut latched {
            infos.keep();
        }
        if inboxes.empty() {
            heard = Instant::now();
        } else {
            let is_busy = heard.elapsed() < BUSY;
            let shortest = if is_busy { BUSY_TURN } else { SHORTEST_TURN };
            std::thread::sleep(shortest.saturating_sub(turn.elapsed()));
        }
    }
}

/// Tell a camera who publishes on its topics; whether a calibration is kept for those who come later.
fn look_around(node: &Node, camera: &Camera) -> bool {
    if let Some(offers) = offers(node, &camera.topic) {
        camera.put_offers(offers);
    }
    let scaling = &camera.scaling;
    let infos = offers(node, &scaling.info_topic);
    let references = offers(node, &scaling.reference_topic);
    let has_latched = infos.iter().flatten().any(|offer| offer.latched);
    if let (Some(infos), Some(references)) = (infos, references) {
        scaling.put_offers(infos, references);
    }
    has_latched
}

/// A calibration that its publisher keeps for those who come later. Only a subscription that asks for it gets it, and
/// that one is made only where somebody offers it: other publishers would log a mismatch that is none.
struct LatchedInfos {
    camera: Arc<Camera>,
    messages: Box<dyn Stream<Item = CameraInfo> + Unpin>,
}

impl LatchedInfos {
    fn of(node: &mut Node, camera: &Arc<Camera>) -> Option<Self> {
        let messages = subscriptions::latched_infos(node, camera).inspect_err(|error| {
            tracing::warn!("no latched calibration: {error}");
        });
        Some(Self {
            camera: camera.clone(),
            messages: Box::new(messages.ok()?),
        })
    }

    fn is_of(&self, camera: &Arc<Camera>) -> bool {
        Arc::ptr_eq(&self.camera, camera)
    }

    /// Keep what has come.
    fn keep(&mut self) {
        while let Some(Some(info)) = self.messages.next().now_or_never() {
            self.camera.scaling.put_info(info);
        }
    }
}

/// Who publishes on a topic; none if the graph cannot be asked.
fn offers(node: &Node, topic: &str) -> Option<Vec<Offer>> {
    let publishers = node.get_publishers_info_by_topic(topic, false).ok()?;
    let offers = publishers.into_iter().map(|publisher| Offer {
        node: format!(
            "{}/{}",
            publisher.node_namespace.trim_end_matches('/'),
            publisher.node_name
        ),
        type_name: publisher.topic_type,
        reliable: publisher.qos_profile.reliability == ReliabilityPolicy::Reliable,
        latched: publisher.qos_profile.durability == DurabilityPolicy::TransientLocal,
    });
    Some(offers.collect())
}
