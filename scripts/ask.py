#!/usr/bin/env python3
"""Ask the running node one question about what its camera sees, through ~/ask: for machines without the `ros2` command.

    . scripts/env.sh
    scripts/ask.py "How many objects are there?"
"""

import argparse
import math
import sys
import time

import rclpy
from cooper_perception.srv import Ask

MODES = ["interleaved", "text", "perception", "direct"]
ERRORS = ["INVALID_INPUT", "UNKNOWN_CAMERA", "NO_IMAGE", "BUSY", "NOT_READY", "CANCELED", "DEADLINE", "FAILED"]
# How long to wait for the node, its model and a first image.
START_SECS = 10.0


def positive(text):
    """Parse a finite number above zero."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def arguments():
    parser = argparse.ArgumentParser(description="Ask the running node one question about what its camera sees.")
    parser.add_argument("question")
    parser.add_argument("--camera", default="", help="a name in the node's parameter `cameras` (default: the first one)")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="how it is answered (default: as the node's parameter `reasoning.mode` says)")
    parser.add_argument("--node", default="/cooper", help="full name of the node (default /cooper)")
    parser.add_argument("--timeout", type=positive, default=600.0, help="seconds for the answer (default 600)")
    return parser.parse_args()


def call(node, args):
    """The node's reply and its seconds; ends the program if there is none in time."""
    service = f"/{args.node.strip('/')}/ask"
    client = node.create_client(Ask, service)
    secs = min(START_SECS, args.timeout)
    end = time.monotonic() + secs
    if not client.wait_for_service(timeout_sec=secs):
        sys.exit(f"ask: {service}: expected a running node within {secs:g} s, got none; start cooper_node in another shell")
    request = Ask.Request(question=args.question, camera=args.camera, mode=MODES.index(args.mode), seed=-1)
    is_told = False
    while True:
        begun = time.monotonic()
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future, timeout_sec=args.timeout)
        if not future.done():
            sys.exit(f"ask: {service}: expected an answer within {args.timeout:g} s, got none; --timeout allows more")
        is_starting = future.result().error_code in (Ask.Response.NO_IMAGE, Ask.Response.NOT_READY)
        if not is_starting or time.monotonic() > end:
            return future.result(), time.monotonic() - begun
        if not is_told:
            print(f"ask: waiting up to {secs:g} s: {future.result().message}", file=sys.stderr)
            is_told = True
        time.sleep(1.0)


def status_of(reply):
    """How the answer ended, in a word; the message says why."""
    if reply.success:
        return "ANSWERED" if reply.answer else "NO_ANSWER"
    return next(name for name in ERRORS if getattr(Ask.Response, name) == reply.error_code)


def main():
    args = arguments()
    rclpy.init()
    node = rclpy.create_node("ask")
    try:
        reply, seconds = call(node, args)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print(f"answer: {reply.answer or 'none'}")
    print(f"status: {status_of(reply)}" + (f": {reply.message}" if reply.message else ""))
    print(f"seconds: {seconds:.2f}")
    sys.exit(not (reply.success and reply.answer))


if __name__ == "__main__":
    main()
