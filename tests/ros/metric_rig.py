"""A camera with a calibration and a depth sensor beside it, as tests of metric depth need them."""

import numpy as np
from cooper_client import RELIABLE, SENSOR, Camera, array_of, image, until
from cooper_perception.srv import EstimateDepth, GetStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def calibration(width, height, focal=106.5):
    """A pinhole camera without distortion, its axis off the centre."""
    cx, cy = 0.52 * width, 0.47 * height
    k = [focal, 0.0, cx, 0.0, focal * 1.02, cy, 0.0, 0.0, 1.0]
    p = k[:3] + [0.0] + k[3:6] + [0.0] + k[6:] + [0.0]
    return CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5, k=k, r=np.eye(3).ravel().tolist(), p=p)


def depth_image(metres, encoding="32FC1", padding=0, big_endian=False):
    """Metres as a depth image, NaN where there is none."""
    if encoding == "16UC1":
        pixels = np.nan_to_num(metres * 1000.0, nan=0.0, posinf=0.0, neginf=0.0).round().clip(0, 65535).astype("<u2")
    else:
        pixels = metres.astype("<f4")
    pixels = pixels.byteswap() if big_endian else pixels
    height, width = metres.shape
    rows = pixels.view(np.uint8).reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 99, np.uint8)], axis=1)
    return Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes(), is_bigendian=big_endian)


class Rig(Camera):
    """Publishes frames of one picture with the stamps of now, and with each one what `info` and `reference` hold."""

    def __init__(self, client, name, picture, info=None, reference=None, rate=10.0, lag=0.0):
        node = client.node
        self.name, self.picture, self.info, self.reference, self.lag = name, picture, info, reference, lag
        self.info_publisher = node.create_publisher(CameraInfo, f"/{name}/camera_info", SENSOR)
        self.depth_publisher = node.create_publisher(Image, f"/{name}/depth_reference", SENSOR)
        frame = image(picture)
        super().__init__(client, name, lambda _: frame, rate, offset=0.0, beside=self.send_beside)

    def send_beside(self, stamp):
        info, reference = self.info, self.reference
        if info is not None:
            info.header.stamp = stamp
            self.info_publisher.publish(info)
        if reference is not None:
            nanoseconds = stamp.sec * 10**9 + stamp.nanosec + int(self.lag * 1e9)
            reference.header.stamp.sec, reference.header.stamp.nanosec = divmod(nanoseconds, 10**9)
            self.depth_publisher.publish(reference)

    def __exit__(self, *_):
        super().__exit__()
        self.client.destroy(self.info_publisher)
        self.client.destroy(self.depth_publisher)

    def estimate(self, **fields):
        """The reply of ~/estimate_depth about this camera."""
        request = EstimateDepth.Request(**{"camera": self.name, "seed": -1, **fields})
        return self.client.call(EstimateDepth, "/cooper/estimate_depth", request)

    def relative(self):
        """The node's own map of the picture: the same at each call, since the seed is."""
        reply = until(lambda: (made := self.estimate()).success and made, message="no map")
        return array_of(reply.depth_relative).astype(float)

    def status(self):
        reply = self.client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
        return next(camera for camera in reply.cameras if camera.name == self.name)


class Topics:
    """The metric topics of a camera, listened to until it is closed."""

    KINDS = {"depth/image": Image, "depth/camera_info": CameraInfo, "points": PointCloud2}

    def __init__(self, client, name, topics=KINDS):
        self.client = client
        heard = {topic: client.listen(self.KINDS[topic], f"/cooper/{name}/{topic}", RELIABLE) for topic in topics}
        self.messages = {topic: messages for topic, (messages, _) in heard.items()}
        self.subscriptions = [subscription for _, subscription in heard.values()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for subscription in self.subscriptions:
            self.client.destroy(subscription)

    def __getitem__(self, topic):
        return self.messages[topic]

    def next(self, topic):
        """Wait for another message."""
        n = len(self.messages[topic])
        return until(lambda: self.messages[topic][n:], message=f"no {topic}")[0]

    def forget(self):
        for messages in self.messages.values():
            messages.clear()


def points_of(cloud):
    """x, y, z (height, width, 3) and rgb (height, width, 3) of an organised cloud."""
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("rgb", 12, 7, 1)
    ]
    assert (cloud.row_step, cloud.is_bigendian, cloud.is_dense) == (cloud.point_step * cloud.width, False, False)
    raw = np.frombuffer(bytes(cloud.data), np.uint8).reshape(cloud.height, cloud.width, cloud.point_step)
    xyz = raw[..., :12].copy().view("<f4").astype(float)
    return xyz, raw[..., [14, 13, 12]]


def projected(xyz, k):
    """Pixel coordinates (height, width, 2) of points in the optical frame."""
    pixels = xyz @ np.asarray(k).reshape(3, 3).T
    return pixels[..., :2] / pixels[..., 2:]
