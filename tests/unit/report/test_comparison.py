"""The comparison as text: at two widths, without colour, and in a pipe.

After a change that is meant, APPROVE=1 writes the golden texts anew; read the diff.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from likewise.producer.console import make_console
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.document import print_parts

GOLDEN = Path(__file__).with_name("golden")


def terminal(comparison, width, **options):
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=True, highlight=False, markup=False, legacy_windows=False,
        **options,
    )  # fmt: skip
    print_parts(ComparisonDocument(comparison=comparison), console)
    return stream.getvalue()


def piped(comparison):
    stream = io.StringIO()
    print_parts(ComparisonDocument(comparison=comparison), make_console(stream))
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", ["article", "matched", "failed", "many_seeds"])
def test_the_text_is_as_it_was_approved(samples, name, width):
    comparison = getattr(samples, name)()
    text = "".join(
        f"{line.rstrip()}\n" for line in terminal(comparison, width, color_system=None).splitlines()
    )
    golden = GOLDEN / f"{name}-{width}.txt"
    if os.environ.get("APPROVE"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")

    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(samples, width):
    for line in terminal(samples.article(), width, color_system=None).splitlines():
        assert len(line) <= width


def test_a_narrow_terminal_says_below_each_gap_where_it_is_largest(samples):
    text = terminal(samples.article(), 40, color_system=None)

    assert "\nat layers.0.bias" in text


def test_a_pipe_gets_no_escape_codes_no_folding_and_whole_numbers(samples):
    text = piped(samples.article())

    assert "\x1b" not in text
    assert not set(text) & set("│┃─━┌┐└┘╭╮╰╯┏┓┗┛")
    assert "prediction at 10   18.982839584350586   18.999998092651367\n" in text
    assert "as if the learning rate were 0.06.\n" in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def made_for_a_terminal(comparison):
    """What the program's own console writes where its stream is a terminal."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    print_parts(ComparisonDocument(comparison=comparison), make_console(stream, width=80))
    return stream.getvalue()


def test_no_color_leaves_words_that_say_the_same(samples, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = terminal(samples.article(), 80)

    assert "\x1b[3" not in text
    assert "\x1b" not in made_for_a_terminal(samples.article()), "bold and dim go, too"
    assert "✘ differ" in text
    assert "above" in text


def test_a_failing_framework_leaves_the_other_ones_numbers(samples):
    text = piped(samples.failed())

    assert "torch diverged at epoch 12: the loss became NaN." in text
    assert "tensorflow trained to the end." in text
    assert "prediction at 10   18.982839584350586   —" in text


def test_control_characters_of_a_message_do_not_reach_the_terminal(samples):
    text = piped(samples.failed(message="bad \x1b[2J shape\a"))

    assert "\x1b" not in text
    assert "\a" not in text


def test_predictions_are_told_of_a_seed_that_both_frameworks_finished(samples):
    trained = [samples.train(seed=seed) for seed in range(3)]
    comparison = samples.compared(
        samples.experiment(seeds=3),
        samples.result("tensorflow", [samples.failed_seed(0), *trained[1:]]),
        samples.result("torch", [trained[0], samples.failed_seed(1), trained[2]]),
    )
    predicted = f"{comparison.runs[0].seeds[2].predictions[0][0]}"

    (line,) = [line for line in piped(comparison).splitlines() if line.startswith("prediction at")]
    assert line.split() == ["prediction", "at", "10,", "seed", "2", predicted, predicted]
