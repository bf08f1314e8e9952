"""Writes docs/job-file.md and docs/settings.md from the models, so that they never lag behind.

python docs/make_reference.py            writes both
python docs/make_reference.py --check    ends with status 1 if one is not current
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any, get_args

from likewise.producer.job.schema import documented_schema
from likewise.shared.job import Experiment, Layer, activations, loss, optimizer
from likewise.shared.settings import Settings

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/make_reference.py from the models; change those. -->"

LAYERS = [layer.__name__ for layer in get_args(get_args(Layer)[0])]

# The parts of a job file in reading order: heading, definitions, and the module whose docstring has formulas.
PARTS: list[tuple[str, list[str], Any]] = [
    (
        "data",
        ["InlineData", "CsvData", "ParquetData", "NpzData", "BuiltinData", "SyntheticData", "Split"],
        None,
    ),
    ("model", ["Model", *LAYERS], None),
    ("activations", ["PlainActivation", "LeakyRelu", "Elu"], activations),
    (
        "initializers",
        [
            "Zeros",
            "Ones",
            "Constant",
            "Uniform",
            "Normal",
            "FanScaled",
            "FanScaledNormal",
            "VarianceScaling",
            "Orthogonal",
        ],
        None,
    ),
    (
        "loss",
        [
            "MeanSquaredError",
            "MeanAbsoluteError",
            "Huber",
            "LogCosh",
            "Poisson",
            "KlDivergence",
            "CosineSimilarity",
            "BinaryCrossentropy",
            "CategoricalCrossentropy",
        ],
        loss,
    ),
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
    ("sides", ["SideSettings"], None),
    ("initial_weights", ["SharedWeights", "FrameworkWeights", "GivenWeights", "NpzWeights"], None),
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
            lines += _table(definition)
    return "\n".join(lines).rstrip() + "\n"


def settings() -> str:
    """The reference of environment variables, in Markdown."""
    rows = [
        f"| `LIKEWISE_{name.upper()}` | {_default(field, 'unset')} | {_cell(field.get('description', ''))} |"
        for name, field in documented_schema(Settings)["properties"].items()
    ]
    head = [
        "# Settings",
        "",
        NOTE,
        "",
        "Environment variables, read once when a process starts.",
        "",
    ]
    return "\n".join([*head, "| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"


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
        case {"oneOf": _}:
            kind = "one of the types below"
        case {"anyOf": options}:
            kinds = [_kind(option) for option in options if option != {"type": "null"}]
            kind = " or ".join(dict.fromkeys(kinds))
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
    declared = definition["properties"].get("type", {})
    return ", ".join(declared.get("enum", [declared["const"]] if "const" in declared else []))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the pages, or with --check compare them."""
    stale = []
    for name, text in (("job-file.md", job_file()), ("settings.md", settings())):
        page = HERE / name
        if "--check" in sys.argv:
            if not page.exists() or page.read_text() != text:
                stale.append(name)
        else:
            page.write_text(text)
    if stale:
        sys.stderr.write(f"not current: {', '.join(stale)}; run python docs/make_reference.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
