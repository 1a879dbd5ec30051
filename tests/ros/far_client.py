"""Run on another host than the node's by test_two_hosts.py: a camera, a listener and a client; prints what came as JSON."""

import json
import sys
import time

import rclpy
from cooper_client import Camera, Client, compressed, image, pixels, stamp_of, until
from cooper_perception.srv import EstimateDepth, GetStatus
from sensor_msgs.msg import CompressedImage, Image

PATIENCE = float(sys.argv[1])  # seconds to wait for the node to be seen


def seen(client):
    try:
        until(client.reason.server_is_ready, PATIENCE)
        return True
    except AssertionError:
        return False


def looked_at(client):
    raw, packed = image(pixels(640, 480)), compressed(pixels(640, 480))
    maps, _ = client.listen(Image, "/cooper/packed/depth/color")
    with (
        Camera(client, "raw", lambda _: raw, 10.0) as plain,
        Camera(client, "packed", lambda _: packed, 10.0, CompressedImage, "image_raw/compressed") as camera,
    ):
        until(lambda: any(camera.number_of(made) for made in maps), message="no map")
        time.sleep(4.0)
        rates = {heard.name: heard.rate_hz for heard in client.call(GetStatus, "/cooper/get_status", GetStatus.Request()).cameras}
        request = EstimateDepth.Request(camera="raw", seed=-1)
        depth = until(lambda: (reply := client.call(EstimateDepth, "/cooper/estimate_depth", request)).success and reply)
        handle, feedback = client.send_goal(camera="packed", mode=3)
        _, result = client.result(handle)
    return {
        "rates": rates,
        "map": [maps[-1].width, maps[-1].height],
        "depth_is_of_our_frame": plain.number_of(depth) > 0,
        "goal": [result.status, result.error_msg, stamp_of(result)[0] > camera.base],
        "feedback": len(feedback),
    }


def main():
    rclpy.init()
    client = Client()
    try:
        told = {"seen": seen(client)}
        print(json.dumps(told | (looked_at(client) if told["seen"] else {})))
    finally:
        client.close()
        rclpy.shutdown()


if __name__ == "__main__":
    main()
