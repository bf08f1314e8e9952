"""The only reader of the environment.

`Settings.from_environment` is called once, at a process's entry; everything else is handed values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from shared.errors import UsageError
from shared.frozen import Frozen


class Settings(Frozen):
    """Settings of a process; each field is the environment variable LIKEWISE_<FIELD> in capitals."""

    redis_url: str | None = None
    """`redis://[:password@]host:port/0`; unset, the producer uses its own local stack."""
    redis_password_file: Path | None = None
    """A file with the password (a container secret); it goes into `redis_url`."""
    allow_volatile_redis: bool = False
    """Accept a Redis that keeps nothing on disk or evicts keys: runs and results may then be lost."""
    blob_url: str | None = None
    """An fsspec URL for arrays above `blob_redis_limit_mb`, such as file:///data or s3://bucket."""
    blob_redis_limit_mb: int = Field(default=64, ge=1)
    """Arrays up to this many megabytes are kept in Redis."""
    retention_days: float = Field(default=30, gt=0)
    """How long results and arrays are kept."""
    home: Path | None = None
    """Where the local stack keeps its state; unset, the platform's user directories."""
    environments: Path | None = None
    """A folder with a ready virtual environment for each framework, `<framework>/bin/python`, that the
    local stack is to use; unset, it makes its own."""
    idle_minutes: float = Field(default=15, gt=0)
    """The local stack stops after this long without work."""
    framework: str | None = None
    """Of a worker: the one it trains with."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Of a worker: the one it serves."""
    threads: int | None = Field(default=None, ge=1)
    """Of a worker: the most CPU threads that a training takes, once it is large enough; unset, half of the
    cores, since a comparison trains two frameworks at once. Several workers of a framework on one host
    share these cores: give each its part."""
    lease_s: float = Field(default=10, ge=1)
    """Of a worker: how long a run stays its own without a word."""
    checkpoint_s: float = Field(default=30, ge=0)
    """Of a worker: after so many seconds a run's state is kept, and again each time, so that another worker
    can go on from there; 0 keeps none."""
    cache_dir: Path | None = None
    """Of a worker: where arrays are cached; unset, a folder under the temporary directory."""
    host_id: str | None = None
    """Of a worker: the machine's name, which containers on one machine share."""
    image: str | None = None
    """Of a worker: the container image, for the record."""
    heartbeat_file: Path | None = None
    """Of a worker: a file touched with each announcement in Redis, for a container's health check."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read LIKEWISE_* variables; an empty one counts as unset.

        Raises UsageError naming the variable and its value.
        """
        environ = os.environ if environ is None else environ
        given = {
            name: environ[f"LIKEWISE_{name.upper()}"]
            for name in cls.model_fields
            if environ.get(f"LIKEWISE_{name.upper()}")
        }
        try:
            return cls.model_validate_strings(given)
        except ValidationError as error:
            first = error.errors()[0]
            name = f"LIKEWISE_{str(first['loc'][0]).upper()}"
            shown = "…" if "password" in name.lower() else repr(first["input"])
            raise UsageError(f"{name} is {shown}: {first['msg'].lower()}") from None
