"""The action: feedback, result, queue, cancel, time budget, input that cannot be used."""

import time

import pytest
from action_msgs.msg import GoalStatus
from cooper_client import array_of, image, pixels, stamp_of, until
from cooper_perception.action import Reason
from cooper_perception.srv import GetStatus

RESULT = Reason.Result
# Draws both maps first, in so many steps that there is time to do something meanwhile.
LONG = {"flow.time_points": 1000}
PERCEPTION = Reason.Goal.PERCEPTION


def long_goal(client, **fields):
    return client.send_goal(image=image(pixels()), mode=PERCEPTION, **fields)


def waits_for_model(feedback):
    """Whether the model has begun on this goal."""
    return any(message.stage != Reason.Feedback.QUEUED for message in feedback)


def test_feedback_and_result(node, client):
    handle, feedback = client.send_goal(image=image(pixels(60, 44)), mode=PERCEPTION, seed=11)
    assert handle.accepted
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert result.status in (RESULT.ANSWERED, RESULT.NO_ANSWER, RESULT.TRUNCATED)
    assert (result.error_code, result.error_msg) == (RESULT.NONE, "")
    assert (stamp_of(result), result.header.frame_id) == ((7, 8), "optical")
    assert [(e.kind, e.turn, e.seed, e.steps) for e in result.evidence] == [(0, 0, 11, 3), (1, 0, 11, 3)]
    assert all(stamp_of(e.image) == (7, 8) and array_of(e.image).ndim == 3 for e in result.evidence)
    assert result.text == result.turns[-1]
    times = result.timings
    assert 0.0 < times.total_s and times.prefill_s + times.text_s + times.maps_s <= times.total_s + 0.05

    stages = [message.stage for message in feedback]
    assert stages[0] == Reason.Feedback.QUEUED and feedback[0].queue_position == 0
    assert {Reason.Feedback.PREFILL, Reason.Feedback.DEPTH, Reason.Feedback.SEGMENTATION} <= set(stages)
    maps = [message for message in feedback if message.map.width > 0]
    assert [message.stage for message in maps] == [Reason.Feedback.DEPTH, Reason.Feedback.SEGMENTATION]
    assert [message.turn for message in maps] == [0, 0], "they are drawn before the first turn"
    assert max(message.turn for message in feedback) == len(result.turns), "turns count from 1"
    assert [message.map for message in maps] == [evidence.image for evidence in result.evidence]
    assert all(0.0 <= message.progress <= 1.0 for message in feedback)


def test_text_is_streamed(node, client):
    handle, feedback = client.send_goal(image=image(pixels()), mode=Reason.Goal.TEXT)
    _, result = client.result(handle)
    deltas = [message.text_delta for message in feedback if message.text_delta]
    assert len(deltas) > 1, "the text comes in pieces"
    joined = {}
    for message in feedback:
        joined[message.turn] = joined.get(message.turn, "") + message.text_delta
    assert [joined[turn] for turn in range(1, len(result.turns) + 1)] == result.turns


def test_interleaved_is_the_default_and_turns_are_limited(node, client):
    handle, _ = client.send_goal(image=image(pixels()), max_turns=1)
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_SUCCEEDED and len(result.turns) == 1


def test_cancel_returns_what_there_is(start, client):
    start({**LONG, "continuous.rate": 0})
    handle, feedback = long_goal(client)
    until(lambda: any(message.stage == Reason.Feedback.DEPTH and message.progress > 0 for message in feedback))
    begun = time.monotonic()
    client.wait(handle.cancel_goal_async())
    status, result = client.result(handle)
    took = time.monotonic() - begun
    assert status == GoalStatus.STATUS_CANCELED
    assert (result.status, result.error_code) == (RESULT.CANCELED, RESULT.ERROR_CANCELED)
    assert stamp_of(result) == (7, 8)
    assert took < 1.0, f"a flow step takes milliseconds, the cancel took {took:.2f} s"


def test_a_spent_time_budget_returns_what_there_is(start, client):
    start({**LONG, "continuous.rate": 0})
    handle, _ = long_goal(client, time_budget=0.5)
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert (result.status, result.error_code) == (RESULT.DEADLINE, RESULT.ERROR_DEADLINE)
    assert "time budget" in result.error_msg and 0.4 < result.timings.total_s < 1.0


def test_the_queue(start, client):
    start({**LONG, "limits.queue": 2, "continuous.rate": 0})
    running, news = long_goal(client)
    until(lambda: waits_for_model(news))
    first, _ = long_goal(client)
    second, of_second = long_goal(client)
    assert first.accepted and second.accepted
    until(lambda: of_second)
    assert (of_second[0].stage, of_second[0].queue_position) == (Reason.Feedback.QUEUED, 2)
    refused, _ = long_goal(client)
    assert not refused.accepted, "the queue is full"
    status = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    assert (status.queue_length, status.queue_limit) == (2, 2)

    client.wait(first.cancel_goal_async())
    assert client.result(first)[0] == GoalStatus.STATUS_CANCELED, "a waiting goal is canceled at once"
    until(lambda: of_second[-1].queue_position == 1, message="it did not move up")
    client.wait(running.cancel_goal_async())
    until(lambda: waits_for_model(of_second), message="its turn did not come")
    client.wait(second.cancel_goal_async())
    assert client.result(second)[0] == GoalStatus.STATUS_CANCELED


@pytest.mark.parametrize(
    "fields, code, words",
    [
        (dict(question=""), RESULT.INVALID_INPUT, "question: it is empty"),
        (dict(mode=7), RESULT.INVALID_INPUT, "mode: expected 0 to 3"),
        (dict(max_turns=101), RESULT.INVALID_INPUT, "max_turns: expected 0 to 100, got 101"),
        (dict(time_budget=-1.0), RESULT.INVALID_INPUT, "time_budget: expected seconds"),
        (dict(image=image(pixels(), "mono8"), seed=-9), RESULT.INVALID_INPUT, "seed: expected -1 or more"),
        (dict(camera="nowhere"), RESULT.UNKNOWN_CAMERA, "no camera `nowhere`"),
        (dict(camera="idle"), RESULT.NO_IMAGE, "nobody publishes on /idle/image_raw"),
    ],
)
def test_bad_input_is_accepted_and_aborted_with_a_reason(node, client, fields, code, words):
    handle, _ = client.send_goal(**fields)
    assert handle.accepted
    status, result = client.result(handle)
    assert (status, result.status) == (GoalStatus.STATUS_ABORTED, RESULT.FAILED)
    assert result.error_code == code and words in result.error_msg
