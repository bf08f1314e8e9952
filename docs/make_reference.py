"""Writes docs/job-file.md, docs/settings.md and .env.example from the models, so that they never lag behind.

python docs/make_reference.py            writes all
python docs/make_reference.py --check    ends with status 1 if one is not current

Longer than 400 lines: it has the words of each page beside what is made of the models.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any, get_args

from likewise.producer.job.schema import documented_schema
from likewise.shared.job import Experiment, Layer, activations, loss, optimizer, regularizers
from likewise.shared.settings import GIVEN_IN_CONTAINERS, LOCAL_STACK, Settings, variable

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/make_reference.py from the models; change those. -->"

LAYERS = [layer.__name__ for layer in get_args(get_args(Layer)[0])]

# The parts of a job file in reading order: heading, definitions, and the module whose docstring has formulas.
PARTS: list[tuple[str, list[str], Any]] = [
    (
        "data",
        [
            *("InlineData", "CsvData", "ParquetData", "JsonLinesData"),
            *("NpzData", "NpyData", "ImagesData", "BuiltinData", "SyntheticData", "Split"),
        ],
        None,
    ),
    ("model", ["Model", *LAYERS], None),
    (
        "activations",
        [
            *("PlainActivation", "Softmax", "LeakyRelu", "ClippedRelu", "Elu", "Celu", "HardSigmoid"),
            *("Softplus", "HardTanh", "Shrink", "Threshold", "Squareplus", "Sparsemax"),
        ],
        activations,
    ),
    (
        "initializers",
        [
            "Zeros",
            "Ones",
            "Constant",
            "Uniform",
            "Normal",
            "TruncatedNormal",
            "FanScaled",
            "FanScaledNormal",
            "VarianceScaling",
            "Orthogonal",
            "IdentityMatrix",
        ],
        None,
    ),
    (
        "regularizers and constraints",
        [
            "L1",
            "L2",
            "L1L2",
            "ActivityL1",
            "ActivityL2",
            "ActivityL1L2",
            "MaxNorm",
            "MinMaxNorm",
            "UnitNorm",
            "NonNeg",
        ],
        regularizers,
    ),
    (
        "loss",
        [
            "MeanSquaredError",
            "MeanAbsoluteError",
            "Huber",
            "LogCosh",
            "Quantile",
            "Poisson",
            "KlDivergence",
            "CosineSimilarity",
            "BinaryCrossentropy",
            "BinaryFocalCrossentropy",
            "Hinge",
            "SquaredHinge",
            "Dice",
            "Tversky",
            "CategoricalCrossentropy",
            "CategoricalFocalCrossentropy",
            "CategoricalHinge",
            "MultiMargin",
            "Losses",
        ],
        loss,
    ),
    ("metrics", ["TopKAccuracy", "Precision", "Recall"], None),
    (
        "optimizer",
        ["Sgd", "Adam", "AdamW", "Adamax", "Nadam", "RmsProp", "Adagrad", "Adadelta"],
        optimizer,
    ),
    (
        "schedule",
        [
            "ConstantSchedule",
            "StepSchedule",
            "ExponentialSchedule",
            "CosineSchedule",
            "CosineRestartsSchedule",
            "PolynomialSchedule",
            "ReduceOnPlateauSchedule",
            "PiecewiseSchedule",
        ],
        None,
    ),
    ("training", ["Training", "EarlyStopping"], None),
    ("limits", ["RunLimits"], None),
    ("sides", ["SideSettings"], None),
    (
        "initial_weights",
        ["SharedWeights", "InitializerWeights", "FrameworkWeights", "GivenWeights", "NpzWeights"],
        None,
    ),
]


def job_file() -> str:
    """The reference of job files, in Markdown."""
    schema = documented_schema(Experiment)
    definitions = schema["$defs"]
    told = {name for _, names, _ in PARTS for name in names}
    if told != set(definitions):
        raise SystemExit(f"PARTS and the models differ: {sorted(told ^ set(definitions))}")
    lines = [
        "# The job file",
        "",
        NOTE,
        "",
        "YAML or JSON. An unknown field is refused; a field without a default must be given. Where a mapping",
        "would hold only a `type`, the word alone will do: `loss: mse`. `--set path=value` and `overrides`",
        "take dotted paths, list items by index or layer name: `model.layers.0.units`.",
        "",
        *_table(schema),
    ]
    for heading, names, module in PARTS:
        lines += ["", f"## {heading}"]
        if module is not None:
            lines += ["", "```", *inspect.getdoc(module).splitlines()[2:], "```"]
        for name in names:
            definition = definitions[name]
            lines += ["", f"### {_types(definition) or name}", "", definition["description"], ""]
            lines += _table(definition) if "properties" in definition else []
    return "\n".join(lines).rstrip() + "\n"


# What the compose files read beside the settings: name, what stands for it where it is unset, meaning.
COMPOSE = [
    ("WORKERS_TF", "1", "How many TensorFlow workers `docker compose up` keeps."),
    ("WORKERS_TORCH", "1", "How many PyTorch workers `docker compose up` keeps."),
    ("LIKEWISE_WORKER_CPUS", "0", "How many cores a worker's container may use, such as 1.5; 0 is all."),
    ("LIKEWISE_WORKER_MEMORY", "4g", "How much memory a worker's container may use."),
    ("LIKEWISE_PRODUCER_MEMORY", "4g", "How much memory a command's container may use."),
    (
        "LIKEWISE_BLOB_VOLUME",
        "blobs",
        "The volume of large arrays, or a folder of this machine as /mnt/arrays.",
    ),
    (
        "JOBS_MODE",
        "rw",
        "How a command's container sees the current folder: `ro`, or `rw,z` where SELinux labels files.",
    ),
    ("WORKERS_TF_GPU", "1", "How many TensorFlow workers on GPUs docker-compose.gpu.yml keeps."),
    ("WORKERS_TORCH_GPU", "1", "How many PyTorch workers on GPUs docker-compose.gpu.yml keeps."),
    ("LIKEWISE_GPU_DEVICE", "cuda", "The device of a worker of docker-compose.gpu.yml, such as cuda:1."),
    ("LIKEWISE_GPU_WORKER_MEMORY", "16g", "How much memory such a worker's container may use."),
    ("REDIS_MAXMEMORY", "1gb", "How much data Redis keeps; give its container twice as much."),
    ("REDIS_MEMORY", "2g", "How much memory Redis's container may use."),
    ("REDIS_IMAGE", "redis:7-bookworm", "The image of Redis; any of 6.2 or later."),
    (
        "REDIS_WORKER_PASSWORD_FILE",
        "",
        "A file of this machine with the workers' password, for deploy/compose.external-redis.yml.",
    ),
    (
        "REDIS_PRODUCER_PASSWORD_FILE",
        "",
        "A file of this machine with the commands' password, for deploy/compose.external-redis.yml.",
    ),
    ("REDIS_WORKER_USER", "worker", "The workers' user, for deploy/compose.external-redis.yml."),
    ("REDIS_PRODUCER_USER", "producer", "The commands' user, for deploy/compose.external-redis.yml."),
    (
        "LIKEWISE_REDIS_CA_FILE",
        "/etc/ssl/certs/ca-certificates.crt",
        "A file of this machine with the certificates to trust, for deploy/compose.external-redis.yml.",
    ),
    ("REDIS_PUBLISH", "", "An address and port of this machine, for deploy/compose.publish-redis.yml."),
    (
        "REDIS_TLS_FOLDER",
        "",
        "A folder with certificate.pem and key.pem, for deploy/compose.publish-redis.yml.",
    ),
    (
        "METRICS_PUBLISH",
        "127.0.0.1:9464",
        "An address and port of this machine, for deploy/compose.monitoring.yml.",
    ),
    (
        "AWS_SHARED_CREDENTIALS_FILE",
        "/dev/null",
        "A file of this machine with keys, for deploy/compose.s3.yml; without one, the machine's role.",
    ),
    ("AWS_DEFAULT_REGION", "us-east-1", "The region of the object store, for deploy/compose.s3.yml."),
    (
        "AWS_ENDPOINT_URL",
        "",
        "Where the object store is, when it is not Amazon's, for deploy/compose.s3.yml.",
    ),
    (
        "PYTHON_IMAGE",
        "python:3.11-slim-bookworm",
        "The base of the images, best by its digest: deploy/README.md says how to renew it.",
    ),
    (
        "STORES",
        "s3",
        "What the address of large arrays may begin with in the images, such as s3,gs,abfs,http.",
    ),
    (
        "PROGRAMS_FOLDER",
        "./programs",
        "A folder of this machine with the programs that workers run, for deploy/compose.programs.yml.",
    ),
    ("TENSORFLOW_VERSION", "", "The other version of TensorFlow of `deploy/compose.versions.yml`."),
    ("TORCH_VERSION", "", "The other version of PyTorch of `deploy/compose.versions.yml`."),
    ("PYTHON_PACKAGES", "", "Python packages to add to the images, as pip takes them."),
    ("REVISION", "", "The commit, for the images' labels: REVISION=$(git rev-parse HEAD)."),
    ("TORCH_PACKAGES", "", "Debian packages for the PyTorch image: `g++` for `execution: compiled`."),
]

IN_CONTAINERS = {"redis_url": "redis://redis:6379/0", "blob_url": "file:///var/lib/likewise"}
"""What stands in containers for a setting that is unset."""

ENV_HEAD = """\
# Variables of docker-compose.yml: cp .env.example .env, and take the # from what you change.
# A variable of the shell goes before this file. What is given on a line is the default.
#
# Written by docs/make_reference.py from the models; change those.
"""


def settings() -> str:
    """The reference of environment variables, in Markdown."""
    rows = [
        f"| `{variable(name)}` | {_default(field, 'unset')} | {_cell(field.get('description', ''))} |"
        for name, field in documented_schema(Settings)["properties"].items()
    ]
    compose = [
        f"| `{name}` | {f'`{default}`' if default else 'unset'} | {_cell(meaning)} |"
        for name, default, meaning in COMPOSE
    ]
    given, local = (
        ", ".join(f"`{variable(name)}`" for name in names) for names in (GIVEN_IN_CONTAINERS, LOCAL_STACK)
    )
    head = [
        "# Settings",
        "",
        NOTE,
        "",
        "Environment variables, read once when a process starts.",
        "",
    ]
    containers = [
        "",
        "## Containers",
        "",
        "`docker compose` hands the containers each of these from the shell or from a file `.env` beside",
        "`docker-compose.yml`, which `cp .env.example .env` begins. Not so those that name something inside",
        f"a container, which its image or the compose file gives ({given}),",
        f"and those of the local stack ({local}).",
        *(
            f"There `{variable(name)}` is `{value}` where it is unset."
            for name, value in IN_CONTAINERS.items()
        ),
        "",
        "The compose files read these too:",
        "",
    ]
    columns = ["| variable | default | meaning |", "|---|---|---|"]
    return "\n".join([*head, *columns, *rows, *containers, *columns, *compose]) + "\n"


def env_example() -> str:
    """The example of a file `.env`, with every variable that the compose files read."""
    properties = documented_schema(Settings)["properties"]
    rows = [
        (
            variable(name),
            IN_CONTAINERS.get(name, _plain(field.get("default"))),
            _cell(field.get("description", "")),
        )
        for name, field in properties.items()
        if name not in (*GIVEN_IN_CONTAINERS, *LOCAL_STACK)
    ]
    lines = [ENV_HEAD]
    for name, default, meaning in [*rows, *COMPOSE]:
        lines += [*(f"# {line}" for line in textwrap.wrap(meaning, 100)), f"#{name}={default}", ""]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    """A default as it would be given in the environment."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _table(definition: dict[str, Any]) -> list[str]:
    required = definition.get("required", [])
    rows = [
        f"| `{name}` | {_kind(field)} | {'required' if name in required else _default(field, 'null')} "
        f"| {_cell(field.get('description', ''))} |"
        for name, field in definition["properties"].items()
        if not (name == "type" and "const" in field)
    ]
    return ["| field | takes | default | meaning |", "|---|---|---|---|", *rows] if rows else []


WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
}


def _kind(field: dict[str, Any]) -> str:
    """What a field takes, in words."""
    match field:
        case {"$ref": target}:
            name = target.rsplit("/", 1)[1].lower()
            kind = f"[{name}](#{name})"
        case {"anyOf": options} | {"oneOf": [*_, {"type": "object"}] as options}:
            kinds = [_kind(option) for option in options if option != {"type": "null"}]
            kind = " or ".join(dict.fromkeys(kinds))
        case {"oneOf": _}:
            kind = "one of the types below"
        case {"enum": words}:
            kind = ", ".join(f"`{word if isinstance(word, str) else json.dumps(word)}`" for word in words)
        case {"const": value}:
            kind = f"`{json.dumps(value)}`"
        case {"type": "array", "items": items}:
            kind = f"list of {_kind(items)}"
        case _:
            kind = WORDS[field["type"]] + _bounds(field)
    return kind


def _bounds(field: dict[str, Any]) -> str:
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    found = [f"{sign} {field[key]:,}" for key, sign in signs.items() if key in field and field[key] < 2**60]
    return " " + ", ".join(found) if found else ""


def _default(field: dict[str, Any], none: str) -> str:
    value = field.get("default", {})
    if value is None:
        return none
    if isinstance(value, dict) and [key for key in value if value[key] is not None] == ["type"]:
        value = value["type"]
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _types(definition: dict[str, Any]) -> str:
    declared = definition.get("properties", {}).get("type", {})
    return ", ".join(declared.get("enum", [declared["const"]] if "const" in declared else []))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the pages, or with --check compare them."""
    stale = []
    pages = {
        HERE / "job-file.md": job_file(),
        HERE / "settings.md": settings(),
        HERE.parent / ".env.example": env_example(),
    }
    for page, text in pages.items():
        if "--check" in sys.argv:
            if not page.exists() or page.read_text() != text:
                stale.append(page.name)
        else:
            page.write_text(text)
    if stale:
        sys.stderr.write(f"not current: {', '.join(stale)}; run python docs/make_reference.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
