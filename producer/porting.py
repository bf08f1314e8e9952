"""What the functions and commands do with a port.yaml, whose two programs stand in place of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.producer import experiments
from likewise.producer.kept import Answer, keep_answer
from likewise.producer.port.file import read_port
from likewise.producer.results import PortBenchResult, PortExplanationResult, PortResult, PortTrainingResult
from likewise.shared.errors import InterruptedByUserError, UsageError
from likewise.shared.settings import Settings

if TYPE_CHECKING:
    from likewise.producer.bench.models import Bench
    from likewise.producer.port.file import Port
    from likewise.shared.ledger.records import AnswerKind

Options = Mapping[str, Any]
"""What a function was asked besides, by name (see `producer.interface`)."""


def checked(
    programs: Sequence[str], batch: str | Path | None, *, until: str | None, options: Options
) -> PortResult:
    """Check two programs, rung by rung; they are a port.yaml, or two files. Raises LikewiseError."""
    from likewise.producer.port.flow import check_port
    from likewise.producer.port.models import RUNGS

    if until is not None and until not in RUNGS:
        raise UsageError(f"--until is {until!r}; the rungs are {', '.join(RUNGS)}")
    last = next((rung for rung in RUNGS if rung == until), None)
    port = read_port(programs, None if batch is None else Path(batch))
    check = check_port(port, until=last, tell=_teller(options))
    verdict = "agree" if check.agrees else "differ"
    return PortResult(check, _kept("port-check", port, check.versions, check, verdict, options))


def trained(spec: str, options: Options) -> PortTrainingResult:
    """Train both programs. Raises UsageError for what is only said of a declared job."""
    from likewise.producer.port.trainings import train_port

    _refuse_of_jobs(options)
    port = read_port([spec], None)
    port = replace(port, seeds=_seeds(options) or port.seeds)
    found = train_port(port, port.seeds, tell=_teller(options))
    kept = _kept("port-comparison", port, found.versions, found, found.verdict, options)
    return PortTrainingResult(found, kept)


def explained(spec: str, options: Options) -> PortExplanationResult:
    """Switch the settings of both programs. Raises UsageError for what is only said of a declared job."""
    from likewise.producer.explaining import enough_seeds
    from likewise.producer.port.explaining import PortQuestion, explain_port

    _refuse_of_jobs(options)
    port = read_port([spec], None)
    reference, other = (one.label for one in port.programs)
    if options.get("side") not in {None, other}:
        raise UsageError(
            f"--side is {options['side']!r}; it can be {other}, which is explained by {reference}"
        )
    question = PortQuestion(
        seeds=_seeds(options) or enough_seeds(port.seeds),
        most_combined=options.get("combinations", 4),
        budget_s=options.get("budget_s", 300),
    )
    found = explain_port(port, question, tell=_teller(options))
    kept = _kept("port-explanation", port, found.versions, found.explanation, found.verdict, options)
    return PortExplanationResult(found.explanation, kept)


def timed(spec: str, options: Options) -> PortBenchResult:
    """Time both programs. Raises UsageError for what is only said of a declared job."""
    from likewise.producer.port.holding import held
    from likewise.producer.port.timing import HowTimed, bench_port

    _refuse_of_jobs({**options, "no_twin": not options.get("twin", True)})
    port = read_port([spec], None)
    how = HowTimed(budget_s=options.get("budget_s", 60), precision=options.get("precision", 0.02))
    tell = _teller(options)

    def kept(bench: Bench) -> str | None:
        versions = {side: one.framework_version for side, one in bench.environments.items()}
        return _kept("port-bench", port, versions, bench, bench.verdict, options)

    def interrupted(bench: Bench) -> None:
        if (name := kept(bench)) is not None:
            experiments.say(f"interrupted: what was timed is kept; likewise show {name} shows it")
            raise InterruptedByUserError

    found = bench_port(
        port,
        how,
        tell=tell,
        quiet=options.get("quiet", False),
        hold=partial(
            held,
            own=Settings.from_environment().host_id,
            opens=partial(experiments.open_for, quiet=True),
            tell=tell,
        ),
        interrupted=interrupted,
    )
    return PortBenchResult(found, kept(found))


def _teller(options: Options) -> Any:
    return experiments.teller(quiet=options.get("quiet", False))


def _seeds(options: Options) -> tuple[int, ...]:
    """Return the seeds that were asked for; none where none were."""
    seeds = options.get("seeds")
    if seeds is None:
        return ()
    return experiments.seed_list(str(seeds) if isinstance(seeds, int) else seeds)


def _kept(
    kind: AnswerKind, port: Port, versions: Mapping[str, str], found: Any, verdict: str, options: Options
) -> str | None:
    """Keep an answer as an experiment, and return its id; None where nothing takes it."""
    answer = Answer(
        kind=kind,
        subject=port.subject(versions),
        found=found,
        verdict=verdict,
        tags=options.get("tags", ()),
        note=options.get("note", ""),
    )
    return keep_answer(answer)


def _refuse_of_jobs(options: Options) -> None:
    """Raise UsageError for an option that changes or queues a declared job: a port has programs."""
    names = {
        name: f"--{name.replace('_', '-')}" for name in ("set", "sides", "against", "key", "queue_anyway")
    }
    names |= {"variants": "--variant", "host": "--host", "no_twin": "--no-twin"}
    for name, option in names.items():
        if options.get(name):
            raise UsageError(
                f"{option} is for a declared job; what a port.yaml trains is in its programs, and in its "
                "training and seeds"
            )
