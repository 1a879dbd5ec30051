"""An rclpy client of the node, for the tests and the scripts: calls, goals, cameras that publish, subscriptions."""

import io
import threading
import time

import numpy as np
import rclpy
from PIL import Image as Picture
from builtin_interfaces.msg import Time
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cooper_perception.action import Reason
from cooper_perception.srv import GetStatus

SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


def until(what, timeout=20.0, message="it did not happen"):
    """Call `what` until it returns a true value, and return that; AssertionError after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"{message} within {timeout} s"
        time.sleep(0.01)


def pixels(width=64, height=48, seed=1):
    """An RGB image with gradients, as an array."""
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns + 40 * seed) % 256], axis=-1)
    return ramp.astype(np.uint8)


def image(array, encoding="rgb8", padding=0, stamp=(7, 8), frame_id="optical"):
    """An RGB array as a message in some encoding, its rows padded."""
    opaque = np.full(array.shape[:2] + (1,), 255, np.uint8)
    swapped = array[..., ::-1]
    arranged = {
        "rgb8": array,
        "bgr8": swapped,
        "rgba8": np.concatenate([array, opaque], axis=-1),
        "bgra8": np.concatenate([swapped, opaque], axis=-1),
        "mono8": array[..., :1],
    }[encoding]
    height, width = array.shape[:2]
    rows = arranged.reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 99, np.uint8)], axis=1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes())
    message.header.stamp.sec, message.header.stamp.nanosec = stamp
    message.header.frame_id = frame_id
    return message


def compressed(array, kind="jpeg", stamp=(7, 8), frame_id="optical"):
    buffer = io.BytesIO()
    Picture.fromarray(array).save(buffer, kind)
    message = CompressedImage(format=f"rgb8; {kind} compressed bgr8", data=buffer.getvalue())
    message.header.stamp.sec, message.header.stamp.nanosec = stamp
    message.header.frame_id = frame_id
    return message


def stamp_of(message):
    return (message.header.stamp.sec, message.header.stamp.nanosec)


def array_of(message):
    """A map's pixels as an array."""
    kind = {"32FC1": np.float32, "16UC1": np.uint16, "rgb8": np.uint8, "mono8": np.uint8, "mono16": np.uint16}[message.encoding]
    shape = (message.height, message.width) + ((3,) if message.encoding == "rgb8" else ())
    assert message.step * message.height == len(message.data)
    return np.frombuffer(bytes(message.data), kind).reshape(shape)


class Camera:
    """Publishes frames at a rate until it is closed; the stamp's seconds count them, from a base of its own.

    With `offset` the stamps are the time now plus `offset` seconds; `number_of` does not know such frames.
    `beside` is called with each stamp before its frame is published.
    """

    n_made = 0

    def __init__(self, client, name, messages, rate=10.0, message_type=Image, suffix="image_raw", offset=None, beside=lambda stamp: None):
        self.client = client
        self.publisher = client.node.create_publisher(message_type, f"/{name}/{suffix}", SENSOR)
        Camera.n_made += 1
        self.base = 100_000 * Camera.n_made
        self.sent = 0
        self.offset = offset
        self.beside = beside
        self.running = True
        self.thread = threading.Thread(target=self.run, args=(messages, rate), daemon=True)
        self.thread.start()

    def run(self, messages, rate):
        due = time.monotonic()
        while self.running:
            message = messages(self.sent + 1)
            if self.offset is None:
                message.header.stamp = Time(sec=self.base + self.sent + 1, nanosec=5)
            else:
                now = self.client.node.get_clock().now()
                message.header.stamp = (now + Duration(seconds=self.offset)).to_msg()
            self.beside(message.header.stamp)
            self.publisher.publish(message)
            self.sent += 1
            due += 1.0 / rate
            time.sleep(max(0.0, due - time.monotonic()))

    def number_of(self, message):
        """The number of the frame that a map was made from; 0 for a frame of another camera."""
        number = message.header.stamp.sec - self.base
        return number if 0 < number <= self.sent and message.header.stamp.nanosec == 5 else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()
        self.client.destroy(self.publisher)


class Goals(ActionClient):
    """An action client for several threads. rclpy registers a request only after sending it and drops a reply that comes
    before ("Ignoring unexpected goal response"); here replies wait for the registration."""

    def __init__(self, *args, **kwargs):
        self.registering = threading.RLock()
        super().__init__(*args, **kwargs)

    def send_goal_async(self, *args, **kwargs):
        with self.registering:
            return super().send_goal_async(*args, **kwargs)

    def _cancel_goal_async(self, goal_handle):
        with self.registering:
            return super()._cancel_goal_async(goal_handle)

    def _get_result_async(self, goal_handle):
        with self.registering:
            return super()._get_result_async(goal_handle)

    async def execute(self, taken_data):
        with self.registering:
            await super().execute(taken_data)


class Client:
    """One rclpy node, spun by a thread of its own."""

    def __init__(self, name="cooper_test_client"):
        self.node = rclpy.create_node(name)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()
        self.reason = Goals(self.node, Reason, "/cooper/reason")
        self.clients = {}

    def close(self):
        self.executor.shutdown()
        self.thread.join(5)
        self.node.destroy_node()

    def destroy(self, entity):
        """Destroy a publisher or a subscription on the executor's thread, which fails if it waits for a destroyed one."""
        is_subscription = isinstance(entity, Subscription)
        destroy = self.node.destroy_subscription if is_subscription else self.node.destroy_publisher
        self.wait(self.executor.create_task(destroy, entity))

    def until_alone(self):
        """Wait until no node of ours serves anything any more.

        The list of nodes is not reliable: where a node's last message arrives after its end, its name stays in the graph
        (rmw_dds_common, GraphCache::update_participant_entities). Endpoints are removed.
        """
        until(lambda: not self.servers(), message="a node is still in the graph")

    def servers(self):
        """The services of our nodes that have a server."""
        names = [name for name, _ in self.node.get_service_names_and_types() if "/cooper/" in name]
        return [name for name in names if self.node.count_services(name)]

    def call_async(self, kind, name, request):
        """Begin a call; clients are made once and serve all nodes of a test session."""
        if name not in self.clients:
            self.clients[name] = self.node.create_client(kind, name)
        client = self.clients[name]
        until(client.service_is_ready, message=f"no service {name}")
        return client.call_async(request)

    def call(self, kind, name, request, timeout=30.0):
        return self.wait(self.call_async(kind, name, request), timeout)

    def wait(self, future, timeout=30.0):
        until(future.done, timeout, "no reply")
        return future.result()

    def wait_until_ready(self, timeout=60.0):
        """Wait until the node's model is ready."""
        is_ready = lambda: self.call(GetStatus, "/cooper/get_status", GetStatus.Request()).state == "ready"
        until(is_ready, timeout, "the model is not ready")

    def send_goal(self, **fields):
        """Send a goal; its handle (rejected or accepted) and the list that feedback is added to."""
        until(self.reason.server_is_ready, message="no action server")
        feedback = []
        goal = Reason.Goal(**{"question": "What is near?", "seed": -1, **fields})
        future = self.reason.send_goal_async(goal, lambda message: feedback.append(message.feedback))
        return self.wait(future), feedback

    def result(self, handle, timeout=60.0):
        """The goal's final status and result."""
        reply = self.wait(handle.get_result_async(), timeout)
        return reply.status, reply.result

    def listen(self, kind, topic, qos=RELIABLE):
        """Subscribe; the list of messages and the subscription."""
        messages = []
        return messages, self.node.create_subscription(kind, topic, messages.append, qos)

    def camera(self, name="camera", width=64, height=48, rate=10.0, encoding="rgb8"):
        """A camera of raw images."""
        frame = image(pixels(width, height), encoding)
        return Camera(self, name, lambda _: frame, rate)

    def packed_camera(self, name="packed", kind="jpeg", width=64, height=48):
        """A camera of compressed images."""
        frame = compressed(pixels(width, height), kind)
        return Camera(self, name, lambda _: frame, 10.0, CompressedImage, "image_raw/compressed")

    def info_publisher(self, name="camera"):
        return self.node.create_publisher(CameraInfo, f"/{name}/camera_info", SENSOR)
