"""Progress as it is shown: on a terminal, as lines, and not at all."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from likewise.producer import live
from likewise.producer.console import make_console
from likewise.producer.live import Lane, Lines, Screen, board
from likewise.producer.output import loudness
from likewise.producer.runs.follow import Changed, Noticed, Progressed
from likewise.producer.runs.results import Diverged
from likewise.shared.ledger.records import ProgressEvent, RunRecord


def changed(state="queued", *, run_id="run-torch-0001", diverged=None, **more):
    record = RunRecord(
        run_id=run_id, experiment_id="experiment", framework="torch", queue="train.torch.any",
        state=state, submitted_s=0.0, **({"attempt": 0, "fence": 0} | more),
    )  # fmt: skip
    return Changed(position="0", record=record, diverged=diverged)


def diverged(number, of, **more):
    return changed("failed", diverged=Diverged(diverged=number, trained=of), **more)


def progressed(epoch, *, at_s, position=1, seeds=1, loss=0.5, rate=1234.5, **more):
    event = ProgressEvent(
        run_id="run-torch-0001", framework="torch", seed=0, position=position, seeds=seeds, epoch=epoch,
        epochs=100, loss=loss, samples_per_s=rate, **more,
    )  # fmt: skip
    return Progressed(position=f"{int(at_s * 1000)}-0", event=event)


def noticed():
    return Noticed(position="0", run_id="run-torch-0001", side="torch", text="no live worker serves it")


def lane(*updates):
    one = Lane("torch")
    for update in updates:
        one.apply(update)
    return one


@pytest.mark.parametrize(
    ("updates", "state"),
    [
        ([], "queued"),
        ([changed()], "queued"),
        ([changed(), noticed()], "waiting"),
        ([changed(), noticed(), changed("leased")], "starting"),
        ([changed("leased"), progressed(0, at_s=1, compiling=True)], "compiling"),
        ([changed("leased"), progressed(0, at_s=1, compiling=True), progressed(1, at_s=9)], "training"),
        ([changed("leased", cancel_requested=True)], "stopping"),
        ([changed("leased"), progressed(100, at_s=1), changed("succeeded")], "done"),
        ([changed("failed")], "failed"),
        ([diverged(1, of=1)], "diverged"),
        ([diverged(3, of=6)], "done"),
        ([diverged(6, of=6), changed("succeeded", run_id="other")], "done"),
        ([diverged(6, of=6), changed("failed", run_id="other")], "failed"),
        ([diverged(6, of=6), changed("cancelled", run_id="other")], "cancelled"),
        ([changed("cancelled")], "cancelled"),
    ],
)
def test_a_lane_says_where_the_run_stands(updates, state):
    assert lane(*updates).state == state


def test_time_left_is_reckoned_from_the_events_own_times():
    one = lane(changed("leased"), progressed(10, at_s=100), progressed(30, at_s=104))

    assert one.left_s == pytest.approx(14.0)


def test_time_left_is_not_reckoned_from_compiling_and_the_first_updates():
    one = lane(
        changed("leased"),
        progressed(0, at_s=0, rate=None),
        progressed(0, at_s=1, rate=None, compiling=True),
        progressed(0, at_s=60, rate=None, done=0.001),
        progressed(0, at_s=61, done=0.1),
        progressed(0, at_s=62, done=0.3),
    )

    assert one.share == pytest.approx(0.3)
    assert one.left_s == pytest.approx(3.5)


def test_time_left_is_of_the_latest_speed():
    slow = [progressed(i, at_s=10 * i) for i in range(6)]
    fast = [progressed(5 + i, at_s=50 + i) for i in range(1, 21)]
    one = lane(changed("leased"), *slow, *fast)

    assert one.left_s == pytest.approx(75.0)
    assert lane(changed("leased"), *slow).left_s == pytest.approx(950.0)


def test_time_left_counts_the_seeds_to_come():
    one = lane(changed("leased"), progressed(0, at_s=0, seeds=4), progressed(0, at_s=10, position=2, seeds=4))

    assert one.share == pytest.approx(0.25)
    assert one.left_s == pytest.approx(30.0)


def test_a_joiner_midway_is_not_told_a_time_before_it_can_be_known():
    assert lane(changed("leased"), progressed(50, at_s=100)).left_s is None


def test_another_attempt_starts_the_lane_again():
    one = lane(
        changed("leased", attempt=1, fence=1), progressed(50, at_s=1), changed("leased", attempt=2, fence=2)
    )

    assert one.state == "starting"
    assert one.losses == []


def test_many_losses_are_thinned_out():
    one = lane(changed("leased"), *(progressed(1, at_s=i, loss=1.0) for i in range(5_000)))

    assert len(one.losses) <= 400


def test_lines_tell_each_state_once_where_everything_is_wanted():
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream), detail="everything")
    for update in [changed(), changed(), changed("leased"), progressed(1, at_s=1), progressed(2, at_s=2),
                   changed("succeeded")]:  # fmt: skip
        lines.apply(update)

    assert stream.getvalue().splitlines() == [
        "torch: queued",
        "torch: starting",
        "torch: training, epoch 1/100, loss 0.5, 1,234 samples/s",
        "torch: done",
    ]


LIFE = [
    changed(), changed("leased"), progressed(1, at_s=1), progressed(2, at_s=2), changed("succeeded")
]  # fmt: skip


@pytest.mark.parametrize(
    ("detail", "told"), [("ends", ["torch: done"]), ("problems", [])], ids=["a run", "a follow-up"]
)
def test_a_log_is_told_little_of_what_goes_well_and_soon(detail, told):
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream), detail=detail)
    for update in LIFE:
        lines.apply(update)

    assert stream.getvalue().splitlines() == told


@pytest.mark.parametrize("detail", ["ends", "problems"])
def test_a_log_is_told_how_far_what_takes_long_is(monkeypatch, detail):
    monkeypatch.setattr(live, "LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream), detail=detail)
    for update in LIFE:
        lines.apply(update)

    assert "torch: training, epoch 2/100, loss 0.5, 1,234 samples/s" in stream.getvalue()


def test_the_time_left_is_the_most_while_another_side_trains(monkeypatch):
    monkeypatch.setattr(live, "LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    lines = Lines(["torch", "tensorflow"], make_console(stream))
    other = changed("leased", run_id="run-tensorflow-1")
    record = other.record.model_copy(update={"framework": "tensorflow", "side": "tensorflow"})
    trains = progressed(1, at_s=1).event.model_copy(
        update={"framework": "tensorflow", "side": "tensorflow", "run_id": record.run_id}
    )
    for update in [Changed(position="0", record=record), Progressed(position="1-0", event=trains),
                   *LIFE[:4], Changed(position="0", record=record.model_copy(update={"state": "succeeded"})),
                   progressed(3, at_s=3)]:  # fmt: skip
        lines.apply(update)

    told = [line for line in stream.getvalue().splitlines() if line.startswith("torch: training")]
    assert told[-2].endswith("up to 1 min 38 s left")
    assert told[-1].endswith("samples/s, 1 min 37 s left")


@pytest.mark.parametrize("detail", ["ends", "problems", "everything"])
def test_what_goes_wrong_is_told_at_once(detail):
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream), detail=detail)
    for update in [changed("leased"), noticed(), changed("failed")]:
        lines.apply(update)

    assert stream.getvalue().splitlines()[-2:] == [
        "torch: waiting: no live worker serves it", "torch: failed",
    ]  # fmt: skip


def test_a_quiet_command_says_nothing_on_the_way_even_on_a_terminal():
    stream = io.StringIO()
    token = loudness.set("quiet")
    try:
        with board(["torch"], Console(file=stream, force_terminal=True)) as shown:
            shown.apply(changed("failed"))
    finally:
        loudness.reset(token)

    assert stream.getvalue() == ""


def test_of_many_runs_it_is_told_how_many_are_done_and_not_each_start():
    ids = [f"run-{number}" for number in range(4)]
    one = lane(*(changed(run_id=run_id) for run_id in ids))
    states = [one.state]
    for run_id in ids:
        one.apply(changed("leased", run_id=run_id, attempt=1, fence=1))
        states.append(one.state)
        one.apply(changed("succeeded", run_id=run_id, attempt=1, fence=1))
        states.append(one.state)
        if run_id == "run-1":
            assert one.runs_done == "2 of 4 runs done"
    assert states == ["queued", "starting", *["training"] * 6, "done"]
    assert one.runs_done is None

    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream), runs=4, detail="everything")
    for update in [changed_of("run-0", "succeeded"), *map(changed_of, ids[1:])]:
        lines.apply(update)
    assert stream.getvalue().splitlines() == ["torch: training, 1 of 4 runs done"]


def changed_of(run_id, state="queued"):
    return changed(state, run_id=run_id)


@pytest.mark.parametrize(
    ("updates", "line"),
    [
        ([changed("leased"), diverged(2, of=6)], "torch: done, 2 of 6 diverged"),
        ([changed("leased"), diverged(6, of=6)], "torch: diverged"),
        ([changed("succeeded", run_id="other"), diverged(2, of=6)], "torch: done, 2 diverged"),
        (
            [diverged(2, of=6, run_id="other"), progressed(100, at_s=1, seeds=3), changed("succeeded")],
            "torch: done, 2 of 9 diverged",
        ),
    ],
)
def test_lines_tell_how_many_diverged_where_others_ended_well(updates, line):
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream))
    for update in updates:
        lines.apply(update)

    assert stream.getvalue().splitlines()[-1] == line


def test_the_screen_tells_how_many_diverged():
    screen = Screen(["torch"])
    for update in [changed("leased"), progressed(100, at_s=0, seeds=6), diverged(2, of=6)]:
        screen.apply(update)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(screen)

    assert "torch         done" in console.file.getvalue()
    assert "  2 of 6 diverged  loss 0.5" in console.file.getvalue()


def test_lines_tell_what_is_waited_for():
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream))
    lines.apply(changed())
    lines.apply(noticed())

    assert stream.getvalue().splitlines()[-1] == "torch: waiting: no live worker serves it"


def test_a_quiet_board_off_a_terminal_is_silent():
    stream = io.StringIO()
    with board(["torch"], make_console(stream), quiet=True) as shown:
        shown.apply(changed())

    assert stream.getvalue() == ""


def test_the_board_fits_eighty_columns():
    screen = Screen(["tensorflow", "torch"])
    for update in [changed("leased"), progressed(10, at_s=0, seeds=10), progressed(60, at_s=9, seeds=10)]:
        screen.apply(update)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(screen)
    lines = console.file.getvalue().splitlines()

    assert len(lines) == 4
    assert lines[2].startswith("torch")
    assert "epoch 60/100, seed 1/10" in lines[2]
    assert "1,234 samples/s" in lines[3]
    assert "left" in lines[3]


def test_control_characters_of_a_notice_do_not_reach_the_terminal():
    stream = io.StringIO()
    lines = Lines(["torch"], make_console(stream))
    lines.apply(Noticed(position="0", run_id="r", side="torch", text="a\x1b[2Jb"))

    assert "\x1b" not in stream.getvalue()
