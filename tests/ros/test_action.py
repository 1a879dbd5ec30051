"""The action: feedback, result, queue, cancel, time budget, input that cannot be used."""

import time

import pytest
from action_msgs.msg import GoalStatus
from cooper_client import array_of, image, pixels, stamp_of, until
from cooper_perception.action import Reason
from cooper_perception.srv import Ask, GetStatus

RESULT = Reason.Result
# Draws both maps first, in so many steps that there is time to do something meanwhile.
LONG = {"flow.time_points": 1000}
# Seconds within which a node stops that could go on for longer, other processes beside it.
IN_TIME = 1.5
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
    text = lambda turn: "".join(message.text_delta for message in feedback if message.turn == turn)
    # The last piece and the result come on different ways.
    until(lambda: [text(turn + 1) for turn in range(len(result.turns))] == result.turns)
    assert len([message for message in feedback if message.text_delta]) > 1, "the text comes in pieces"


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
    assert took < IN_TIME, f"a flow step takes milliseconds, the cancel took {took:.2f} s"


def test_a_spent_time_budget_returns_what_there_is(start, client):
    start({**LONG, "continuous.rate": 0})
    handle, _ = long_goal(client, time_budget=0.01)
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert (result.status, result.error_code) == (RESULT.DEADLINE, RESULT.ERROR_DEADLINE)
    assert "time budget" in result.error_msg and 0.01 < result.timings.total_s < IN_TIME
    # Also when it is spent before the turn comes.
    running, news = long_goal(client)
    until(lambda: waits_for_model(news))
    late, _ = long_goal(client, time_budget=0.3)
    _, result = client.result(late)
    assert result.status == RESULT.DEADLINE and 0.3 < result.timings.total_s < 0.3 + IN_TIME
    client.wait(running.cancel_goal_async())
    client.result(running)


def test_a_time_budget_chooses_the_steps(start, client):
    """1000 time points take longer than is allowed: fewer are taken, and the answer comes in time."""
    start({**LONG, "continuous.rate": 0})
    _, whole = client.result(long_goal(client)[0])
    # So little that no change of the machine's speed lets all steps fit.
    budget = whole.timings.total_s / 5
    in_time = []
    for _ in range(3):  # by the warm-up's speed, then by that of questions before
        handle, _ = long_goal(client, time_budget=budget)
        status, result = client.result(handle)
        steps = [evidence.steps for evidence in result.evidence]
        print(f"{steps} steps, {result.timings.total_s:.2f} of {budget} s")
        assert result.timings.total_s < budget + IN_TIME
        assert all(4 <= n < 999 for n in steps)
        in_time.append(status == GoalStatus.STATUS_SUCCEEDED and len(steps) == 2)
    assert any(in_time), "other processes may take the machine, but not each time"


def test_an_ample_time_budget_changes_nothing(node, client):
    plain, _ = long_goal(client, seed=5)
    ample, _ = long_goal(client, seed=5, time_budget=600.0)
    plain, ample = client.result(plain)[1], client.result(ample)[1]
    assert [evidence.steps for evidence in ample.evidence] == [3, 3]
    drawn = lambda result: [(map.kind, map.turn, map.seed, map.steps, bytes(map.image.data)) for map in result.evidence]
    assert drawn(ample) == drawn(plain) and ample.turns == plain.turns


def test_a_flood_of_one_client_does_not_starve_another(start, client):
    start({**LONG, "limits.queue": 4, "continuous.rate": 0})
    of = lambda frame_id: image(pixels(), frame_id=frame_id)
    running, news = client.send_goal(image=of("flood"), mode=PERCEPTION)
    until(lambda: waits_for_model(news))
    flood = [client.send_goal(image=of("flood"), mode=PERCEPTION) for _ in range(5)]
    assert [handle.accepted for handle, _ in flood] == [True] * 4 + [False]
    single, of_single = client.send_goal(image=of("single"), mode=PERCEPTION)
    assert single.accepted, "others may still come in"
    until(lambda: of_single)
    assert of_single[0].queue_position == 1, "behind the running one only"
    status, result = client.result(flood[3][0])
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, RESULT.BUSY)
    first, of_first = flood[0]
    until(lambda: of_first[-1].queue_position == 2, message="it was not told that another went ahead")

    # Whoever uses another interface is another client.
    asked = client.call_async(Ask, "/cooper/ask", Ask.Request(question="Now?", image=of("flood"), seed=-1, mode=3))
    until(lambda: client.result(flood[2][0])[1].error_code == RESULT.BUSY)
    client.wait(running.cancel_goal_async())
    until(lambda: waits_for_model(of_single), message="its turn did not come")
    client.wait(single.cancel_goal_async())
    reply = client.wait(asked)
    assert reply.success or reply.error_code == Ask.Response.NONE, reply.message
    for handle, _ in flood[:2]:
        client.wait(handle.cancel_goal_async())
        client.result(handle)


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
        (dict(camera="idle"), RESULT.NO_IMAGE, "no publisher on /idle/image_raw"),
    ],
)
def test_bad_input_is_accepted_and_aborted_with_a_reason(node, client, fields, code, words):
    handle, _ = client.send_goal(**fields)
    assert handle.accepted
    status, result = client.result(handle)
    assert (status, result.status) == (GoalStatus.STATUS_ABORTED, RESULT.FAILED)
    assert result.error_code == code and words in result.error_msg
