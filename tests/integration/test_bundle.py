"""A bundle is trained again and holds; one that lacks something, or was changed, does not."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import zipfile

import numpy as np
import pytest

from likewise.producer.bundle import check_members
from likewise.shared.errors import UsageError

JOB = {
    "name": "line",
    "data": {"type": "csv", "path": "line.csv", "target": "y"},
    "model": {"layers": [{"type": "dense", "units": 2, "activation": "tanh"}, {"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.05},
    "training": {"epochs": 4, "batch_size": 4},
    "frameworks": ["torch"],
    "seeds": 2,
    "execution": "eager",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the job and its samples."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "line.csv").write_text("x,y\n" + "".join(f"{one},{2 * one - 1}\n" for one in range(12)))
    (folder / "line.json").write_text(json.dumps(JOB))
    return folder


@pytest.fixture(scope="module")
def bundle(likewise, folder):
    """The members of a bundle, by name; a file of them is written by `written`."""
    trained = likewise("compare", str(folder / "line.json"), "--no-twin", "--no-trace", "--json")
    assert trained.returncode == 0, trained.stderr
    answer = likewise("bundle", json.loads(trained.stdout)["experiment_id"], "-o", str(folder / "line.zip"))
    assert answer.returncode == 0, answer.stderr
    with zipfile.ZipFile(folder / "line.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(members, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def verify(likewise, path, *words):
    """The status and the claims, by name and side, with what was said."""
    answer = likewise("verify", str(path), *words, "--json")
    assert answer.returncode in (0, 1), answer.stderr
    document = json.loads(answer.stdout)
    claims = {(one["claim"], one["side"]): (one["state"], one["text"]) for one in document["claims"]}
    assert document["holds"] == (answer.returncode == 0)
    assert document["holds"] == all(state != "fails" for state, _ in claims.values())
    return document, claims


def test_a_bundle_is_trained_again_and_every_line_holds(likewise, bundle, tmp_path):
    document, claims = verify(likewise, written(bundle, tmp_path / "b.zip"))
    assert document["holds"], claims
    assert document["experiment_id"] not in (None, document["bundled_experiment_id"])
    assert {name for name, _ in claims} == {
        "members", "results", "data", "initial weights", "batches", "environment", "numbers",
        "trained weights", "verdict",
    }  # fmt: skip
    assert claims["trained weights", "torch"] == ("holds", "the same bits")
    shown = likewise("show", document["experiment_id"], "--json")
    assert json.loads(shown.stdout)["name"] == "line", "the new training is an experiment as any other"


def changed(bundle, name):
    return {**bundle, name: bundle[name][:-3] + b"9\r\n"}


def without(bundle, ending):
    return {name: content for name, content in bundle.items() if not name.endswith(ending)}


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (
            lambda one: changed(one, "series.csv"),
            "series.csv is not what was written: its SHA-256 is another",
        ),
        (lambda one: without(one, "results.json"), "results.json is missing"),
        (lambda one: without(one, ".npy"), ".npy is missing"),
        (lambda one: {**one, "more.txt": b"more"}, "more.txt is not in the manifest"),
    ],
)
def test_a_bundle_that_was_changed_or_lacks_something_is_told_before_training(
    likewise, bundle, tmp_path, tamper, told
):
    document, claims = verify(likewise, written(tamper(bundle), tmp_path / "b.zip"))
    assert not document["trained"]
    assert told in claims["members", None][1]


def forged(bundle, change):
    """The bundle with other results, and a manifest that has their hash."""
    results, manifest = json.loads(bundle["results.json"]), json.loads(bundle["manifest.json"])
    change(results)
    content = json.dumps(results).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    manifest["members"]["results.json"] = {"sha256": sha256, "nbytes": len(content)}
    return {**bundle, "results.json": content, "manifest.json": json.dumps(manifest).encode()}


@pytest.mark.usefixtures("bundle")
def test_wherever_a_bundle_is_damaged_that_is_told(folder, tmp_path):
    whole, damaged = (folder / "line.zip").read_bytes(), tmp_path / "damaged.zip"
    places = [
        *range(0, len(whole) - 4, 101),
        *range(len(whole) - 700, len(whole) - 4),
    ]  # the directory is last
    for place, marks in itertools.product(places, (b"XXXX", b"\xfe")):
        damaged.write_bytes(whole[:place] + marks + whole[place + len(marks) :])
        with contextlib.suppress(UsageError):  # it is no bundle any more
            check_members(damaged)


def test_numbers_that_nobody_trained_are_found_by_training_again(likewise, bundle, tmp_path):
    def better(results):
        losses = results["own"][0]["result"]["arrays"][0]["losses"]
        values = np.frombuffer(base64.b64decode(losses["data"]), losses["dtype"]) * 0.9
        losses["data"] = base64.b64encode(values.astype(losses["dtype"]).tobytes()).decode()

    path = written(forged(bundle, better), tmp_path / "b.zip")
    assert verify(likewise, path, "--no-train")[0]["holds"], "its hashes are in order"
    document, claims = verify(likewise, path)
    assert document["trained"]
    assert claims["numbers", "torch"][0] == "fails"
    assert claims["initial weights", "torch"][0] == "holds"


def test_a_job_that_is_not_that_of_the_manifest_is_told(likewise, bundle, tmp_path):
    def faster(results):
        results["own"][0]["run"]["job"]["optimizer"]["learning_rate"] = 0.5

    _, claims = verify(likewise, written(forged(bundle, faster), tmp_path / "b.zip"))
    assert claims["results", "torch"] == ("fails", "results.json has another job than the manifest")


def test_without_its_data_a_bundle_is_trained_on_those_of_the_folder(
    likewise, bundle, folder, tmp_path, monkeypatch
):
    experiment = json.loads(bundle["manifest.json"])["experiment_id"]
    path = tmp_path / "short.zip"
    assert likewise("bundle", experiment, "--no-data", "-o", str(path)).returncode == 0
    assert not any(name.startswith("data/") for name in zipfile.ZipFile(path).namelist())
    monkeypatch.chdir(folder)
    document, claims = verify(likewise, path)
    assert document["holds"], claims
    assert claims["data", None][0] == "noted"
    (tmp_path / "line.csv").write_text((folder / "line.csv").read_text().replace("11,21", "11,22"))
    monkeypatch.chdir(tmp_path)
    document, claims = verify(likewise, path)
    assert claims["data", "torch"][0] == "fails"
    assert claims["numbers", "torch"][0] == "fails"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no zip", "is no bundle: it is no zip file"),
        (None, "is no bundle: it has no manifest.json"),
        ({"manifest.json": b'{"schema_version": "x"}'}, 'schema_version is "x", which does not fit there'),
        ({"manifest.json": b"no json"}, "manifest.json: it is no JSON document"),
    ],
)
def test_what_is_no_bundle_is_refused(likewise, tmp_path, content, told):
    path = tmp_path / "b.zip"
    if not isinstance(content, bytes):
        written(content or {"other": b""}, path)
    else:
        path.write_bytes(content)
    answer = likewise("verify", str(path))
    assert (answer.returncode, told in " ".join(answer.stderr.split())) == (2, True), answer.stderr
    assert likewise("verify", str(tmp_path / "none.zip")).returncode == 2
