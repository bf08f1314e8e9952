"""The only reader of the environment.

`Settings.from_environment` is called once, at a process's entry; everything else is handed values.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import Field, ValidationError

from likewise.shared.errors import UsageError
from likewise.shared.frozen import Frozen

LOCAL_STACK = ("home", "environments", "idle_minutes")
"""These settings are of the local stack alone; containers have no use for them."""
GIVEN_IN_CONTAINERS = (
    "redis_user",
    "redis_password_file",
    "redis_ca_file",
    "redis_cert_file",
    "redis_key_file",
    "framework",
    "cache_dir",
    "programs",
    "jobs_folder",
    "image",
    "heartbeat_file",
)
"""These settings name things inside a container, so its image or docker-compose.yml gives them."""


class Settings(Frozen):
    """Settings of a process; each field is the environment variable LIKEWISE_<FIELD> in capitals."""

    redis_url: str | None = None
    """`redis://[:password@]host:port/0`, or `rediss://` for TLS; unset, the producer uses its own local
    stack."""
    redis_user: str | None = None
    """The user of Redis that this process is (`shared/users.acl`); it goes into `redis_url`."""
    redis_password_file: Path | None = None
    """A file with the password (a container secret); it goes into `redis_url`."""
    redis_ca_file: Path | None = None
    """A file with the certificates of who signed that of a `rediss://` Redis; unset, the system's."""
    redis_cert_file: Path | None = None
    """A file with this process's own certificate, for a `rediss://` Redis that asks for one."""
    redis_key_file: Path | None = None
    """A file with the key of `redis_cert_file`."""
    allow_volatile_redis: bool = False
    """Accept a Redis that keeps nothing on disk or evicts keys: runs and results may then be lost."""
    blob_url: str | None = None
    """An fsspec URL for arrays above `blob_redis_limit_mb`, such as file:///data or s3://bucket."""
    blob_redis_limit_mb: int = Field(default=64, ge=1)
    """Arrays up to this many megabytes are kept in Redis."""
    retention_days: float = Field(default=30, ge=0.001, le=36_500)
    """How long results and arrays are kept, from the end of an experiment's last run. What waits or trains
    stays until it has ended, with its data."""
    home: Path | None = None
    """Where the local stack keeps its state; unset, the platform's user directories."""
    environments: Path | None = None
    """A folder with a ready virtual environment for each framework, `<framework>/bin/python`, that the
    local stack is to use; unset, it makes its own."""
    idle_minutes: float = Field(default=15, gt=0, le=525_600)
    """The local stack stops after this long without work."""
    framework: str | None = None
    """The framework that a worker trains with."""
    device: str | None = Field(
        default=None, pattern=r"^(cpu|cuda(:\d{1,3})?|mps)$", examples=["cpu", "cuda", "cuda:1", "mps"]
    )
    """The device that a worker serves: `cuda` is the first GPU of its host that has no worker of its
    framework, `cuda:1` that of this number. Unset, a worker serves the CPU, and the local stack what its
    machine has."""
    requirements: str | None = None
    """Packages that a worker's environment has in versions of its own, such as `keras==3.14.*`, with spaces
    between several. Such a worker takes only the runs of sides that ask for the same."""
    dedicated: bool = False
    """Whether a worker takes only the runs of sides that ask for its framework's version."""
    threads: int | None = Field(default=None, ge=1, le=1_024)
    """The most CPU threads that a worker's training takes, once it is large enough; unset, half of the
    cores, since a comparison trains two frameworks at once, or all of them where an experiment's runs go to
    one worker and the others of its host are idle. Several workers of a framework on one host share these
    cores: give each its part."""
    lease_s: float = Field(default=10, ge=1, le=3_600)
    """How long a run stays a worker's own without a word."""
    patience_s: float = Field(default=15, ge=1, le=3_600)
    """How long a worker waits for a sign of life from its own parts: a child process that shows none is
    started again after this, and a worker whose queues do not answer ends after twice as long."""
    hang_s: float = Field(default=900, ge=1, le=86_400)
    """How long a training may show no progress before it is stopped and goes on elsewhere, the second time
    before it fails; ten times its own longest pause, if that is more. It has four times as long while it
    begins or compiles."""
    checkpoint_s: float = Field(default=30, ge=0)
    """How many seconds a worker trains between checkpoints, from which another worker can go on; 0 keeps
    none."""
    max_message_kb: int = Field(default=64, ge=1, le=1_000_000)
    """The longest message that a worker reads, in kilobytes; of a longer one it keeps the beginning, among
    the dead letters."""
    max_record_mb: int = Field(default=64, ge=1, le=500)
    """The longest document of a run, or any other reply of Redis, that a process reads, in megabytes."""
    max_layers: int = Field(default=1_000, ge=1)
    """A run with more layers is refused; as with the limits below, by the worker before it allocates
    anything, and by the producer before it submits."""
    max_weights: int = Field(default=250_000_000, ge=1)
    """A run with more weights is refused. So many are 1 GB in float32; with Adam's moments and the gradients
    about four times as much."""
    max_epochs: int = Field(default=1_000_000, ge=1)
    """A run with more epochs is refused."""
    max_seeds: int = Field(default=100_000, ge=1)
    """A run with more trainings is refused: seeds, times the points of a sweep that it trains."""
    max_seconds: float | None = Field(default=None, gt=0)
    """A run that takes longer is ended, whatever its `limits.seconds` says, and one that asks for more is
    refused; unset, it takes as long as it takes."""
    max_data_gb: float = Field(default=64, gt=0)
    """A run whose arrays, or whose results, take more gigabytes is refused."""
    max_memory_gb: float | None = Field(default=None, gt=0)
    """A worker refuses a run that needs more gigabytes of memory at the least; unset, what the machine or the
    worker's container has."""
    programs: Path | None = None
    """A folder from which workers run programs: those of `execution: stock`, and a port's, where a Redis is
    given. A run names files in it and their SHA-256, and nothing else is run. The producer writes there what
    it prints, and a port's files that are not there. Unset, workers run none; those of the local stack have a
    folder of their own."""
    cache_dir: Path | None = None
    """Where a worker caches arrays; unset, a folder under the temporary directory."""
    host_id: str | None = None
    """The name of a worker's machine, which its timed runs have to themselves; unset, the id that the
    kernel drew when the machine was started, which all its containers see."""
    jobs_folder: Path | None = None
    """The folder of the machine that a producer's container sees as its own, for its messages."""
    image: str | None = None
    """The container image of a worker, for the record."""
    metrics_listen: str | None = None
    """The address and port at which a worker tells Prometheus of itself, such as 127.0.0.1:9464, or :9464 for
    every address; unset, it does not."""
    log_format: Literal["text", "json"] = "text"
    """How a worker writes its log: lines of text, or JSON documents that name worker, run, experiment and
    side."""
    heartbeat_file: Path | None = None
    """A file that a worker touches while it can train or trains, for a container's health check."""

    @property
    def requirement_list(self) -> tuple[str, ...]:
        """Return `requirements` one by one."""
        return tuple((self.requirements or "").split())

    @property
    def worker_device(self) -> str:
        """Return the device that a worker serves."""
        return self.device or "cpu"

    @property
    def cache_folder(self) -> Path:
        """Return where a worker keeps arrays, results on their way, and the locks of GPUs."""
        return self.cache_dir or Path(tempfile.gettempdir()) / f"likewise-cache-{os.getuid()}"

    @property
    def retention_s(self) -> float:
        """Return `retention_days` in seconds."""
        return self.retention_days * 86_400

    @property
    def blob_redis_limit_bytes(self) -> int:
        """Return `blob_redis_limit_mb` in bytes."""
        return self.blob_redis_limit_mb * 2**20

    @property
    def max_record_bytes(self) -> int:
        """Return `max_record_mb` in bytes."""
        return self.max_record_mb * 2**20

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read LIKEWISE_* variables; an empty one counts as unset.

        Raises UsageError naming each variable that is wrong, its value, and what would be right.
        """
        environ = os.environ if environ is None else environ
        given = {name: environ[variable(name)] for name in cls.model_fields if environ.get(variable(name))}
        try:
            return cls.model_validate_strings(given)
        except ValidationError as error:
            wrong = dict.fromkeys(str(one["loc"][0]) for one in error.errors())
            raise UsageError("\n".join(_wrong(name, given[name]) for name in wrong)) from None


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return f"LIKEWISE_{name.upper()}"


def _wrong(name: str, given: str) -> str:
    shown = "…" if "password" in name else repr(given)
    return f"{variable(name)} is {shown}; it takes {_right(name)}"


def _right(name: str) -> str:
    """Return what a field takes, in words: `a whole number from 1 to 1,024`."""
    field = Settings.model_fields[name]
    kind = field.annotation
    if isinstance(kind, UnionType):  # ... | None: unset
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if field.examples:
        *others, last = map(str, field.examples)
        return f"{', '.join(others)} or {last}"
    if kind is bool:
        return "true or false"
    if kind not in (int, float):
        return "text"
    return ("a whole number" if kind is int else "a number") + _bounds(field.metadata)


def _bounds(metadata: list[Any]) -> str:
    found = {
        name: getattr(one, name) for one in metadata for name in ("ge", "gt", "le") if hasattr(one, name)
    }
    if "le" not in found:
        return f", {found['ge']:,} or more"
    least = f"from {found['ge']:,} to" if "ge" in found else f"above {found['gt']:,}, up to"
    return f" {least} {found['le']:,}"


def misspelt(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables that are set and are no setting, each with the setting whose name is almost the same."""
    from difflib import get_close_matches

    environ = os.environ if environ is None else environ
    known = [variable(name) for name in Settings.model_fields]
    unknown = [name for name in environ if name.startswith(variable("")) and name not in known]
    near = {name: get_close_matches(name, known, n=1, cutoff=0.9) for name in unknown}
    return {name: meant[0] for name, meant in near.items() if meant}
