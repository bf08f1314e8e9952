"""What a bench concludes from its timed runs, and how it reads."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any, cast

import pytest

from likewise.producer.bench.conclude import Compared, conclude
from likewise.producer.bench.models import Bench, TimedRun
from likewise.producer.console import make_console
from likewise.producer.display import plus_minus
from likewise.producer.report.bench import BenchDocument, sentences
from likewise.producer.report.document import print_parts
from likewise.shared.results.run_result import Conditions, Environment

TF, TORCH = "tensorflow-auto", "torch-auto"
QUIET = Conditions(wall_s=1, cpu_s=1, load=1.0, cores=8, throttled_s=0.0, interruptions=0, governor=None)


def timed(
    side: str,
    run_s: float,
    *,
    of: str | None = None,
    conditions: Conditions = QUIET,
    precision: Any = "float32",
    **changes: Any,
) -> TimedRun:
    """A run of a way of executing such as `torch-auto`, or of the side `of` of the comparison, in PyTorch."""
    framework, _, way = ("torch", "", "auto") if of else side.partition("-")
    recorded = {
        "framework": framework, "framework_version": "1", "versions": {}, "device": "cpu",
        "threads": 1, "execution": "eager", "flags": {}, "platform": "here", "host": "atlas",
    }  # fmt: skip
    return TimedRun(
        side=side,
        of=of or framework,
        framework=framework,
        variant=cast(Any, way),
        precision=precision,
        phases={"build": 0.01, "compile": 0.5, "train": run_s - 0.01, "step": run_s / 500, "run": run_s},
        samples_per_s=3000 / run_s,
        peak_bytes=300 * 2**20,
        grown_bytes=20 * 2**20,
        device_peak_bytes=None,
        environment=Environment(**(recorded | changes)),
        conditions=conditions,
    )


def benched(comparison: Any, *, ratio: float = 3.0, noise: float = 0.0, **changes: Any) -> Bench:
    wobble = [1 + noise * (i % 3 - 1) for i in range(8)]
    runs = {
        TF: [timed(TF, 0.1 * w, **changes) for w in wobble],
        TORCH: [timed(TORCH, 0.1 * ratio * w) for w in wobble[::-1]],
    }
    return conclude(
        Compared.of(comparison),
        first={one: of[0] for one, of in runs.items()},
        timed=runs,
        missing=(),
        precision=0.02,
    )


def test_who_agrees_is_ranked(samples: ModuleType) -> None:
    bench = benched(samples.matched())
    assert bench.ranking is not None
    assert [place.framework for place in bench.ranking] == ["tensorflow", "torch"]
    assert bench.ranking[1].ratio == pytest.approx(3)
    assert bench.ranking[1].slower
    assert "torch auto, the fastest of torch, takes 3 times as long" in sentences(bench)[1]


def test_who_computes_something_else_is_not(samples: ModuleType) -> None:
    bench = benched(samples.article())
    assert bench.ranking is None
    assert "loss.reduction is mean in tensorflow and sum in torch" in str(bench.ranking_withheld_because)
    assert bench.rows


def test_why_no_winner_is_named_claims_no_more_than_is_known(samples: ModuleType) -> None:
    matched = samples.matched()
    undecided = matched.model_copy(update={"verdict": "inconclusive"})
    because = str(benched(undecided).ranking_withheld_because)
    assert because.startswith("it is open whether the frameworks compute the same")

    alone = undecided.model_copy(update={"runs": matched.runs[1:]})
    bench = conclude(
        Compared.of(alone),
        first={TORCH: timed(TORCH, 0.1)},
        timed={TORCH: [timed(TORCH, 0.1)] * 6},
        missing=(),
        precision=1,
    )
    assert sentences(bench) == ("No winner is named: only torch was asked for.",)


def test_runs_of_two_hosts_are_not_ranked(samples: ModuleType) -> None:
    bench = benched(samples.matched(), host="zeus")
    assert bench.ranking is None
    assert bench.ranking_withheld_because == "they ran on different hosts: atlas and zeus"


def test_a_difference_within_the_noise_names_no_faster_one(samples: ModuleType) -> None:
    bench = benched(samples.matched(), ratio=1.01, noise=0.2)
    assert bench.ranking is not None
    assert not bench.ranking[1].slower
    assert "cannot be told from torch auto" in sentences(bench)[0]


def test_noise_and_a_busy_host_are_warned_of(samples: ModuleType) -> None:
    busy = QUIET.model_copy(update={"load": 9.0, "throttled_s": 0.5, "governor": "powersave"})
    told = " ".join(benched(samples.matched(), noise=0.3, conditions=busy).warnings)
    assert "less well than the ±2 % wanted: tensorflow auto ±30 % and torch auto ±30 %" in told
    assert "a load of 9.0 on 8 cores" in told or "a load of 5.0 on 8 cores" in told
    assert "held the workers back" in told
    assert "governor powersave" in told
    assert not benched(samples.matched()).warnings


def test_other_programs_are_warned_of_by_the_cpu_time_they_took_not_by_the_load(samples: ModuleType) -> None:
    own = QUIET.model_copy(update={"load": 16.0, "cores": 16, "others_cpu_s": 0.1, "stolen_s": 0.0})
    assert not conclude_with(samples, own), "a training on 16 threads is a load of 16"
    shared = own.model_copy(update={"load": 1.0, "others_cpu_s": 5.0, "stolen_s": 0.1})
    told = " ".join(conclude_with(samples, shared))
    assert "other programs took 5.0 of the host's 16 cores" in told
    assert "kept waiting for 10 % of the time" in told


def test_runs_that_were_begun_again_are_told_and_who_waited_is_not_blamed(samples: ModuleType) -> None:
    again = timed(TORCH, 0.1).model_copy(update={"attempt": 2})
    bench = conclude(
        Compared.of(samples.matched()),
        first={TORCH: timed(TORCH, 0.1)},
        timed={TORCH: [*[timed(TORCH, 0.1)] * 5, again]},
        missing=(),
        precision=1,
    )
    assert bench.warnings[0].startswith("runs of torch auto were begun again")


def test_an_interval_wider_than_the_median_is_not_told_in_percent(samples: ModuleType) -> None:
    stream = io.StringIO()
    print_parts(BenchDocument(benched(samples.matched(), noise=5.0)), make_console(stream, width=120))
    assert "±>100 %" in stream.getvalue()
    assert "±500 %" not in stream.getvalue()


def conclude_with(samples: ModuleType, conditions: Conditions) -> tuple[str, ...]:
    return conclude(
        Compared.of(samples.matched()),
        first={TORCH: timed(TORCH, 0.1)},
        timed={TORCH: [timed(TORCH, 0.1, conditions=conditions)] * 6},
        missing=(),
        precision=1,
    ).warnings


def test_where_nothing_could_be_timed_it_says_why_and_shows_no_table(samples: ModuleType) -> None:
    missing = ["torch auto cannot be timed: there is no compiler"]
    bench = conclude(Compared.of(samples.matched()), first={}, timed={}, missing=missing, precision=1)
    stream = io.StringIO()
    print_parts(BenchDocument(bench), make_console(stream, width=80))
    assert stream.getvalue().splitlines()[0] == "bench  matched  nothing could be timed"
    assert missing[0] in stream.getvalue()
    assert "median of" not in stream.getvalue()


def test_the_memory_of_the_first_run_is_told_beside_the_process_s(samples: ModuleType) -> None:
    first, later = timed(TORCH, 0.1), timed(TORCH, 0.1).model_copy(update={"grown_bytes": 0})
    found = [
        conclude(
            Compared.of(samples.matched()),
            first={TORCH: one},
            timed={TORCH: [later] * 6},
            missing=(),
            precision=1,
        )
        for one in (first, first.model_copy(update={"grown_bytes": None}))
    ]
    assert [bench.peak_bytes[0].grown_bytes for bench in found] == [20 * 2**20, None]
    assert not found[0].warnings
    assert "the peak memory of torch auto is that of the worker's whole life" in found[1].warnings[0]


@pytest.mark.parametrize("width", [80, 200])
def test_it_reads_well_at_any_width(samples: ModuleType, width: int) -> None:
    stream = io.StringIO()
    print_parts(BenchDocument(benched(samples.matched())), make_console(stream, width=width))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "whole warm run" in text
    assert "times the fastest" in text


def test_six_variants_are_not_folded_at_80_columns(samples: ModuleType) -> None:
    runs = {
        one: [timed(one, 0.1 + place / 1000)] * 6
        for place, one in enumerate(
            f"{framework}-{execution}"
            for framework in ("tensorflow", "torch")
            for execution in ("eager", "compiled", "auto")
        )
    }
    bench = conclude(
        Compared.of(samples.matched()),
        first={one: of[0] for one, of in runs.items()},
        timed=runs,
        missing=(),
        precision=0.02,
    )
    titles = {}
    for width in (80, 1000):
        stream = io.StringIO()
        print_parts(BenchDocument(bench), make_console(stream, width=width))
        lines = [line.split() for line in stream.getvalue().splitlines()]
        titles[width] = [line for line in lines if line[:2] == ["median", "of"]]
    assert titles[80] == [["median", "of", "eager", "compiled", "auto"]] * 2, "one table a framework"
    assert titles[1000] == [["median", "of", *["eager", "compiled", "auto"] * 2]]


def test_sides_of_one_framework_are_told_apart_on_a_narrow_terminal(samples: ModuleType) -> None:
    labels = ["torch-eager", "torch-compiled", "torch-cpu-float64", "torch-cpu-float32", "torch-on-the-other"]
    declared = sides_of(samples.matched(), **{label: {} for label in labels})
    bench = timed_sides(declared, **{label: (0.1, {}) for label in labels})
    stream = io.StringIO()
    print_parts(BenchDocument(bench), make_console(stream, width=60))
    lines = stream.getvalue().splitlines()
    titles = [line.split()[2:] for line in lines if line.startswith("median of")]
    assert [label for title in titles for label in title] == labels, "whole, each once, in their order"
    assert 1 < len(titles) < len(labels), "as many a table as there is room for"
    assert max(map(len, lines)) <= 60


def test_a_median_that_is_hardly_known_is_told_in_whole_percent(samples: ModuleType) -> None:
    told = " ".join(benched(samples.matched(), noise=0.99).warnings)
    assert "e+" not in told
    assert [plus_minus(one) for one in (0.0249, 0.174, 37.794)] == ["±2.5 %", "±17 %", "±>100 %"]


def test_the_document_keeps_every_sample(samples: ModuleType) -> None:
    bench = benched(samples.matched())
    again = Bench.model_validate(BenchDocument(bench).to_json(), strict=False)
    assert again == bench
    row = next(one for one in again.rows if one.framework == "torch" and one.phase == "run")
    assert len(row.samples) == 8


def sides_of(comparison: Any, **sides: dict[str, Any]) -> Any:
    """The comparison as one of declared sides: what each has of its own, by label."""
    experiment = comparison.experiment.model_copy(
        update={"frameworks": (), "sides": {label: {"framework": "torch"} for label in sides}}
    )
    job = comparison.jobs["torch"]
    return comparison.model_copy(
        update={
            "experiment": experiment,
            "jobs": {label: job.model_copy(update=changes) for label, changes in sides.items()},
            "runs": tuple(
                comparison.runs[1].model_copy(update={"side": label, "framework": "torch"}) for label in sides
            ),
        }
    )


def timed_sides(comparison: Any, **sides: Any) -> Bench:
    runs = {
        label: [timed(label, seconds, of=label, **changes)] * 6 for label, (seconds, changes) in sides.items()
    }
    first = {one: of[0] for one, of in runs.items()}
    return conclude(Compared.of(comparison), first=first, timed=runs, missing=(), precision=0.02)


def test_sides_of_one_framework_are_ranked_by_their_labels(samples: ModuleType) -> None:
    bench = timed_sides(sides_of(samples.matched(), slow={}, quick={}), slow=(0.3, {}), quick=(0.1, {}))
    assert bench.ranking is not None
    assert [(place.side, place.framework) for place in bench.ranking] == [
        ("quick", "torch"),
        ("slow", "torch"),
    ]
    assert sentences(bench)[1].startswith("slow takes 3 times as long")
    assert {row.side for row in bench.rows} == set(bench.environments) == {"slow", "quick"}
    stream = io.StringIO()
    print_parts(BenchDocument(bench), make_console(stream, width=80))
    assert stream.getvalue().splitlines()[0] == "bench  matched  slow and quick, 6 timed runs a side"


def test_devices_that_the_sides_ask_for_are_ranked_with_a_warning_and_others_are_not(
    samples: ModuleType,
) -> None:
    times: dict[str, Any] = {"here": (0.3, {"device": "cpu"}), "there": (0.1, {"device": "NVIDIA H200"})}
    asked = sides_of(samples.matched(), here={"device": "cpu"}, there={"device": "cuda"})
    bench = timed_sides(asked, **times)
    assert bench.ranking is not None
    assert bench.warnings == (
        "they ran on different devices, so the times compare these as much as the sides: "
        "here on cpu and there on NVIDIA H200",
    )
    by_chance = timed_sides(sides_of(samples.matched(), here={}, there={}), **times)
    assert by_chance.ranking is None
    assert by_chance.ranking_withheld_because == "they ran on different devices: NVIDIA H200 and cpu"


def test_precisions_that_agree_are_ranked_with_a_warning(samples: ModuleType) -> None:
    times: dict[str, Any] = {
        "long": (0.3, {"precision": "float64"}),
        "short": (0.1, {"precision": "float32"}),
    }
    sides = sides_of(samples.matched(), long={"precision": "float64"}, short={})
    bench = timed_sides(sides, **times)
    assert bench.ranking is not None
    assert bench.warnings[0].startswith(
        "they compute in different precisions: long float64 and short float32; a shorter number is less work"
    )
    undecided = timed_sides(sides.model_copy(update={"verdict": "inconclusive"}), **times)
    assert undecided.ranking is None
    assert str(undecided.ranking_withheld_because).startswith("it is open whether the sides compute the same")
