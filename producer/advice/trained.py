"""A trained model as a plain program: `model()` with its weights, `prepare()` and `predict()` for new rows.

It is the model of the program that `likewise code` prints. The weights and what standardises lie in an npz
file beside it, so that it runs wherever its framework is, without Likewise.
"""

from __future__ import annotations

from textwrap import indent

from likewise.producer.advice.program import NotWrittenError, python
from likewise.producer.advice.whole import model_blocks
from likewise.producer.data.prepare import PreparedRun

SCALING, TARGET_SCALING = "feature_scaling", "target_scaling"
"""The names of the arrays beside the weights: means, then scales."""
_CALLS = {
    "functional": ["outputs = model().predict(prepare(rows), verbose=0)"],
    "module": [
        "network = model().eval()",
        "with torch.no_grad():",
        "    x = torch.tensor(prepare(rows), dtype=torch.get_default_dtype())",
        "    outputs = network(x).numpy()",
    ],
}
_BY_NAME = "    outputs = {name: one.numpy() for name, one in network(x).items()}"


def trained_program(run: PreparedRun, *, name: str, weights_file: str) -> str:
    """Return the program; `run.job` has `initial_weights` of type npz, whose path is `weights_file`.

    Raises NotWrittenError for what no plain program of the framework does.
    """
    form, (imports, *blocks) = model_blocks(run)
    here = f"Path(__file__).with_name({python(weights_file)})"
    blocks = [block.replace(f"np.load({python(weights_file)})", f"np.load({here})") for block in blocks]
    title = f'"""{name}: a trained model, written by `likewise export`; its weights are in {weights_file}."""'
    names = [
        f"{word} = {python(tuple(names))}"
        for word, names in (
            ("FEATURES", run.data.feature_names),
            ("TARGETS", run.data.target_names),
            ("CLASSES", run.data.class_names),
        )
        if names
    ]
    parts = [f"{title}\n\n{imports}", *(["\n".join(names)] if names else []), *blocks]
    return "\n\n\n".join([*parts, _prepare(run, here), _predict(run, here, form)]) + "\n"


def _prepare(run: PreparedRun, here: str) -> str:
    """Return the function that does with new rows what was done with the samples."""
    declared = run.job.data
    lines = ['"""Return rows of features (n, *features), in their own units, as the model takes them."""']
    lines.append("rows = np.asarray(rows)")
    if run.data.scaling is not None:
        lines += [f"with np.load({here}) as arrays:", f"    mean, scale = arrays[{python(SCALING)}]"]
        lines.append("rows = (rows - mean) / scale")
    for word, sign in (("mean", "-"), ("scale", "/")):
        value = getattr(declared, word)
        if isinstance(value, dict):
            raise NotWrittenError(f"data.{word} by input")
        if value is not None:
            lines.append(f"rows = rows {sign} np.array({value!r})")
    return _function("prepare(rows)", [*lines, "return rows"])


def _predict(run: PreparedRun, here: str, form: str) -> str:
    several = len(run.program.outputs) > 1
    shape = "by name, each (n, outputs)," if several else "(n, outputs)"
    lines = [f'"""Return the outputs {shape} for rows of features, in the targets\' own units."""']
    lines += _CALLS[form]
    if several and form == "module":
        lines[-1] = _BY_NAME
    if several and run.data.target_scaling is not None:
        raise NotWrittenError("data.standardize_target of several outputs")
    if run.data.target_scaling is not None:
        lines += [f"with np.load({here}) as arrays:", f"    mean, scale = arrays[{python(TARGET_SCALING)}]"]
        lines.append("outputs = outputs * scale + mean")
    return _function("predict(rows)", [*lines, "return outputs"])


def _function(signature: str, lines: list[str]) -> str:
    return f"def {signature}:\n{indent(chr(10).join(lines), '    ')}"
