"""A `port.yaml`, or two programs named on the command line: the sides, their files, their
environments, a batch.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from likewise.producer.display import both, printable
from likewise.producer.job.jobtext import TextError, decode, read_yaml
from likewise.producer.job.problems import problems
from likewise.producer.port.frameworks import frameworks
from likewise.shared.errors import JobFileError, Problem, UsageError
from likewise.shared.frozen import Frozen
from likewise.shared.job.experiment import Seed
from likewise.shared.job.fields import Many
from likewise.shared.job.side import Framework, Label, Requirement, VersionOrPattern
from likewise.shared.ledger.records import Subject, SubjectSide

LOCK = "mapping.lock.yaml"
"""The name of the file with the mapping."""


class PortSide(Frozen):
    """One side of a port: the user's file, and the environment that it runs in."""

    framework: Framework | None = None
    """The framework; by default the one that the file imports."""
    program: Annotated[str, Field(min_length=1)]
    """A Python file, relative to this one: `side.py`, or `code.py:build` for the function that makes
    the model.
    """
    environment: str | None = None
    """A virtual environment of the user's own, relative to this file; by default one that Likewise keeps."""
    version: VersionOrPattern | None = None
    """The framework's version, such as "2.12.1" or "2.12.*", in an environment that Likewise makes."""
    requirements: Annotated[Many[Requirement], Field(max_length=20)] = ()
    """Packages that Likewise's environment has beside the framework, such as "keras==3.14.*" or
    "transformers"."""
    checkpoint: str | None = None
    """A file with the side's weights, relative to this one: .keras, .h5, .pt, .pth, .safetensors or .npz."""

    @model_validator(mode="after")
    def _of_one_environment(self) -> PortSide:
        if self.environment is not None and (self.version is not None or self.requirements):
            asked = "requirements" if self.version is None else "version"
            raise ValueError(
                f"has an environment and {asked}: nothing is installed into an environment of yours; "
                "leave one of the two out"
            )
        return self


class PortBatch(Frozen):
    """The batch that both programs are fed."""

    type: Literal["npz"]
    path: str
    """An npz file: `y` are the targets, every other array is an input by its name."""


class PortPlan(Frozen):
    """How `likewise compare` trains both programs."""

    updates: int = Field(default=100, ge=1, le=1_000_000)
    """How many updates each training has."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """How many rows of the data an update takes, shuffled by the seed; null takes all of them each time."""


class PortFile(Frozen):
    """A job file whose sides have programs."""

    schema_version: Literal[1] = 1
    name: str = Field(default="port", pattern=r"^[\w.-]+$", max_length=100)
    sides: dict[Label, PortSide]
    """Two sides by label; the first is the reference."""
    data: PortBatch | None = None
    """Without it a batch is drawn, of the shape that a Keras program says it takes, without targets."""
    precision: Literal["float64", "float32"] = "float64"
    """The precision of both programs in the check."""
    training: PortPlan = PortPlan()
    """How long, and in which batches, `likewise compare` trains both."""
    seeds: Annotated[int, Field(ge=1, le=1_000)] | Annotated[Many[Seed], Field(min_length=1)] = 1
    """The seeds that it trains with: a count n stands for 0 … n − 1."""

    @model_validator(mode="before")
    @classmethod
    def _a_port(cls, value: Any) -> Any:
        if isinstance(value, dict) and "model" in value:
            raise ValueError(
                "has a model, so it is a job file: likewise compare takes it; a port has programs"
            )
        return value


@dataclass(frozen=True)
class SideProgram:
    """One side's program, found."""

    label: str
    framework: str
    file: Path
    maker: str | None
    environment: Path | None
    """The interpreter of the user's own environment."""
    checkpoint: Path | None = None
    """A file with the program's weights."""
    version: str | None = None
    """The framework's version in an environment of Likewise's own; None for the usual one."""
    requirements: tuple[str, ...] = ()
    """Packages that such an environment has beside the framework."""


@dataclass(frozen=True)
class Port:
    """What is to be checked."""

    name: str
    programs: tuple[SideProgram, SideProgram]
    batch: Path | None
    precision: Literal["float64", "float32"]
    lock: Path | None = None
    """Where its mapping is written, beside a port.yaml."""
    training: PortPlan = field(default_factory=PortPlan)
    seeds: tuple[int, ...] = (0,)

    def subject(self, versions: Mapping[str, str]) -> Subject:
        """Return what an answer about it is kept as: each program's files by hash, and its version.

        `versions` are by side, with the framework's name before them or without it.
        """
        from likewise.producer.port.shipping import imported_files

        sides = {
            one.label: SubjectSide(
                framework=one.framework,
                version=versions.get(one.label, "").rpartition(" ")[2] or None,
                program=one.file.name,
                files={
                    file.relative_to(one.file.parent).as_posix(): hashlib.sha256(
                        file.read_bytes()
                    ).hexdigest()
                    for file in imported_files(one.file)
                },
            )
            for one in self.programs
        }
        return Subject(name=self.name, sides=sides)


def read_port(specs: Sequence[str], batch: Path | None) -> Port:
    """Read one `port.yaml`, or two programs as `file.py:function`. `batch` goes before the file's own.

    Raises UsageError and JobFileError.
    """
    if len(specs) == 1:
        if specs[0].partition(":")[0].endswith(".py"):
            raise UsageError(
                f"{specs[0]} is one program; name two, such as keras_code.py:build torch_code.py:Net"
            )
        port = _of_file(Path(specs[0]))
    elif len(specs) == 2:
        port = _of_programs(specs)
    else:
        raise UsageError(f"a port has two programs, or is one port.yaml; {len(specs)} were named")
    if batch is not None:
        if not batch.is_file():
            raise UsageError(f"--batch is {batch}, and there is no such file")
        port = replace(port, batch=batch)
    return port


def _of_file(path: Path) -> Port:
    source = printable(str(path))
    try:
        document = read_yaml(decode(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except TextError as error:
        where = "" if error.line is None else f"line {error.line} "
        raise JobFileError(
            source, [Problem(path="", message=f"{where}{error.message}", hint=error.hint)]
        ) from None
    try:
        import json

        file = PortFile.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise JobFileError(source, problems(error, PortFile, document)) from None
    if len(file.sides) != 2:
        told = f"a port has two sides, the reference first; here are {len(file.sides)}"
        raise JobFileError(source, [Problem(path="sides", message=told)])
    base = path.parent
    first, second = (_found(label, side, base, source) for label, side in file.sides.items())
    batch = None if file.data is None else base / file.data.path
    if batch is not None and not batch.is_file():
        raise JobFileError(
            source, [Problem(path="data.path", message="there is no such file", value=str(batch))]
        )
    seeds = tuple(range(file.seeds)) if isinstance(file.seeds, int) else tuple(file.seeds)
    return Port(file.name, (first, second), batch, file.precision, base / LOCK, file.training, seeds)


def _found(label: str, side: PortSide, base: Path, source: str) -> SideProgram:
    file, maker = split(side.program)
    path = (base / file).resolve()
    if not path.is_file():
        raise JobFileError(
            source, [Problem(path=f"sides.{label}.program", message="there is no such file", value=str(path))]
        )
    framework = side.framework or framework_of(path)
    interpreter = None if side.environment is None else _interpreter(base / side.environment)
    checkpoint = None if side.checkpoint is None else (base / side.checkpoint).resolve()
    if checkpoint is not None and not checkpoint.is_file():
        told = Problem(
            path=f"sides.{label}.checkpoint", message="there is no such file", value=str(checkpoint)
        )
        raise JobFileError(source, [told])
    return SideProgram(
        label, framework, path, maker, interpreter, checkpoint, side.version, tuple(side.requirements)
    )


def _of_programs(specs: Sequence[str]) -> Port:
    programs = []
    for spec in specs:
        file, maker = split(spec)
        path = Path(file).resolve()
        if not path.is_file():
            raise UsageError(f"there is no file {file}")
        framework = framework_of(path)
        programs.append((frameworks()[framework]["label"], framework, path, maker))
    labels = [one[0] for one in programs]
    if labels[0] == labels[1]:
        labels = [f"{labels[0]}-1", f"{labels[1]}-2"]
    first, second = (
        SideProgram(label, framework, path, maker, None)
        for label, (_, framework, path, maker) in zip(labels, programs, strict=True)
    )
    return Port(first.file.stem, (first, second), None, "float64")


def split(spec: str) -> tuple[str, str | None]:
    """Return the file and the function of `file.py:function`."""
    file, colon, maker = spec.rpartition(":")
    return (file, maker) if colon and file else (spec, None)


def framework_of(path: Path) -> str:
    """Return the framework that a file imports, or libraries of it, or files beside it that it imports.

    Raises UsageError for none or several.
    """
    found = _frameworks_of(path, set())
    if len(found) == 1:
        return found[0]
    known = [name for one in frameworks().values() for name in one["imports"]]
    what = f"imports {both(found)}" if found else f"imports none of {', '.join(known)}"
    raise UsageError(
        f"{path.name} {what}; say which framework it is in a port.yaml, as framework: "
        f"{' or '.join(frameworks())}"
    )


def _frameworks_of(path: Path, seen: set[Path]) -> list[str]:
    """Return the frameworks that a file imports; without one those of its libraries, or of its own files."""
    seen.add(path)
    names = _imports_of(path)
    for kind in ("imports", "libraries"):
        known = {name: framework for framework, one in frameworks().items() for name in one[kind]}
        if found := list(dict.fromkeys(known[name] for name in names if name in known)):
            return found
    beside = [path.parent / f"{name}.py" for name in names if name]
    mine = [one for one in dict.fromkeys(beside) if one.is_file() and one not in seen]
    return list(dict.fromkeys(framework for one in mine for framework in _frameworks_of(one, seen)))


def _imports_of(path: Path) -> list[str]:
    """Return the packages that a file imports. Raises UsageError where it is no Python file."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UsageError(
            f"{path.name} is no Python file{f', at line {line}' if line else ''}: {error}"
        ) from None
    return [
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]


def own_environment(program: SideProgram) -> Path | None:
    """Return the virtual environment beside a program, or up to two folders above, that has its framework."""
    packages = frameworks()[program.framework]["imports"]
    for folder in list(program.file.parents)[:3]:
        for name in (".venv", "venv"):
            for site in (folder / name / "lib").glob("python3*/site-packages"):
                if (folder / name / "bin" / "python").exists() and any(
                    (site / one).is_dir() for one in packages
                ):
                    return folder / name
    return None


def in_environments(port: Port, given: Sequence[str]) -> Port:
    """Return a port whose programs run in these environments, each as `SIDE=FOLDER`.

    Raises UsageError for a side that there is not, and a folder that is no environment.
    """
    chosen: dict[str, Path] = {}
    labels = [one.label for one in port.programs]
    for one in given:
        label, equals, folder = one.partition("=")
        if not equals or label not in labels:
            raise UsageError(
                f"--environment is {one}; write SIDE=FOLDER, where SIDE is {' or '.join(labels)}"
            )
        chosen[label] = _interpreter(Path(folder).resolve())
    first, second = (
        replace(one, environment=chosen.get(one.label, one.environment)) for one in port.programs
    )
    return replace(port, programs=(first, second))


def _interpreter(folder: Path) -> Path:
    python = folder if folder.is_file() else folder / "bin" / "python"
    if not python.exists():
        raise UsageError(f"environment is {folder}, which has no bin/python; name a virtual environment")
    return python
