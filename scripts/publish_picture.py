#!/usr/bin/env python3
"""Publish one picture file as a camera: sensor_msgs/Image `image_raw` (rgb8) and `camera_info`, both remappable.

The camera is an ideal pinhole without distortion. The topics are relative: for the node's camera `camera`, run it in
the namespace /camera:

    publish_picture.py picture.png --rate 5 --ros-args -r __ns:=/camera
"""

import argparse
import array
import math
import sys
import time

import rclpy
from PIL import Image as Picture, ImageOps
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image


def positive(text):
    """Parse a finite number above zero."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def arguments(argv):
    parser = argparse.ArgumentParser(description="Publish a picture file as a camera.")
    parser.add_argument("picture", help="PNG or JPEG file")
    parser.add_argument("--rate", type=positive, default=5.0, help="frames per second (default 5)")
    parser.add_argument("--once", action="store_true", help="wait for a subscriber, publish one frame, end")
    parser.add_argument("--timeout", type=positive, default=30.0, help="seconds --once waits (default 30)")
    parser.add_argument("--frame-id", default="camera_optical_frame", help="frame_id of both messages")
    parser.add_argument("--focal", type=positive, help="focal length in pixels (default: 60 degrees across the width)")
    return parser.parse_args(argv)


def read_picture(path):
    """Read a picture upright and in RGB."""
    try:
        with Picture.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, Picture.DecompressionBombError) as error:
        sys.exit(f"publish_picture: cannot read {path}: {error}")


def image_message(picture, frame_id):
    message = Image(height=picture.height, width=picture.width, encoding="rgb8", step=3 * picture.width)
    message.header.frame_id = frame_id
    message.data = array.array("B", picture.tobytes())  # An array is taken as it is; a list would be checked item by item.
    return message


def info_message(picture, frame_id, focal):
    focal = focal or picture.width / 2 / math.tan(math.radians(30))
    cx, cy = (picture.width - 1) / 2, (picture.height - 1) / 2  # (0, 0) is the centre of the first pixel.
    message = CameraInfo(height=picture.height, width=picture.width, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.frame_id = frame_id
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def main():
    args = arguments(remove_ros_args(sys.argv)[1:])
    picture = read_picture(args.picture)
    image = image_message(picture, args.frame_id)
    info = info_message(picture, args.frame_id, args.focal)

    rclpy.init()
    node = rclpy.create_node("publish_picture")
    # Reliable, so that reliable and best effort subscribers both match.
    images = node.create_publisher(Image, "image_raw", QoSProfile(depth=1))
    infos = node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=1))

    def publish():
        image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
        infos.publish(info)
        images.publish(image)

    try:
        print(f"publish_picture: {args.picture} ({picture.width}x{picture.height}) on {images.topic_name}", flush=True)
        if args.once:
            end = time.monotonic() + args.timeout
            while images.get_subscription_count() == 0:
                if time.monotonic() > end:
                    sys.exit(f"publish_picture: no subscriber on {images.topic_name} within {args.timeout:g} s")
                rclpy.spin_once(node, timeout_sec=0.05)
            publish()
            images.wait_for_all_acked()
            time.sleep(0.5)  # A best effort subscriber acknowledges nothing: let the frame leave.
        else:
            publish()
            node.create_timer(1 / args.rate, publish)
            rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # Asked to stop.
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
