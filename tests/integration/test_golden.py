"""Results are pinned and held against later ones, and experiments against each other, on real workers."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

BRIEF = ("--set", "training.epochs=40", "--set", "execution=eager")


@pytest.fixture(scope="module")
def golden(likewise, tmp_path_factory):
    """The file of a comparison that agrees."""
    assert likewise("compare", "matched", *BRIEF).returncode == 0
    path = tmp_path_factory.mktemp("golden") / "golden.json"
    answer = likewise("pin", "last", "-o", str(path))
    assert answer.returncode == 0, answer.stderr
    return path


def against(likewise, path, *words):
    answer = likewise("compare", "matched", *BRIEF, *words, "--against", str(path), "--check", "--json")
    return answer, json.loads(answer.stdout) if answer.stdout else None


def test_the_same_training_is_as_it_was_pinned(likewise, golden):
    answer, since = against(likewise, golden)
    assert (answer.returncode, since["verdict"]) == (0, "agree"), answer.stderr
    assert {side: one["verdict"] for side, one in since["sides"].items()} == {
        "tensorflow": "agree", "torch": "agree"
    }  # fmt: skip
    assert since["sides"]["torch"]["ran"] == {}


@pytest.mark.parametrize(
    ("planted", "changed"),
    [
        ("optimizer.learning_rate=0.0100001", {"tensorflow": "differ", "torch": "differ"}),
        ("overrides={torch: {optimizer.learning_rate: 0.011}}", {"tensorflow": "agree", "torch": "differ"}),
    ],
)
def test_a_change_is_found_and_named(likewise, golden, planted, changed):
    answer, since = against(likewise, golden, "--set", planted)
    assert (answer.returncode, since["verdict"]) == (1, "differ")
    assert {side: one["verdict"] for side, one in since["sides"].items()} == changed
    (setting,) = since["sides"]["torch"]["comparison"]["setting_differences"]
    assert (setting["path"], setting["pinned"]) == ("optimizer.learning_rate", 0.01)


def test_other_data_and_another_version_are_told(likewise, golden, tmp_path):
    document = json.loads(golden.read_text())
    for one in (*document["own"], *document["twin"], *document["rerun"]):
        one["result"]["environment"]["framework_version"] = "0.9"
    older = tmp_path / "older.json"
    older.write_text(json.dumps(document))
    data = "data={type: inline, x: [-1, 0, 1, 2, 3, 4], y: [-3, -1, 1, 3, 5, 8]}"
    answer, since = against(likewise, older, "--set", data)
    assert answer.returncode == 1
    hashes, ran = since["sides"]["torch"]["changed"]
    assert "others than those that were pinned, by their hashes: train." in hashes
    assert ran.startswith("It ran in framework torch 0.9 then, torch ")


def test_a_golden_result_that_was_changed_or_does_not_fit_is_refused(likewise, golden, tmp_path):
    answer, _ = against(likewise, golden, "--seeds", "2")
    assert (answer.returncode, "train these: --seeds 0," in answer.stderr) == (2, True)
    assert likewise("pin", "last", "-o", str(golden)).returncode == 2
    answer, _ = against(likewise, tmp_path / "none.json")
    assert answer.returncode == 2

    other = tmp_path / "other.json"
    other.write_text("{}")
    answer, _ = against(likewise, other)
    assert (answer.returncode, "is no golden result" in " ".join(answer.stderr.split())) == (2, True)

    document = json.loads(golden.read_text())
    name, packed = next(iter(document["arrays"].items()), (None, None))
    if name is not None:
        spoilt = bytearray(zlib.decompress(base64.b64decode(packed)))
        spoilt[0] ^= 1
        document["arrays"][name] = base64.b64encode(zlib.compress(spoilt)).decode()
        other.write_text(json.dumps(document))
        answer, _ = against(likewise, other)
        assert (answer.returncode, "golden result is damaged" in " ".join(answer.stderr.split())) == (3, True)


def test_experiments_stand_beside_each_other(likewise):
    ids = [
        json.loads(
            likewise(
                "compare", "matched", "--no-trace", "--set", "name=course", *BRIEF, "--set", change, "--json"
            ).stdout
        )["experiment_id"]
        for change in ("training.shuffle=false", "overrides={torch: {loss.reduction: sum}}")
    ]
    history = json.loads(likewise("history", "course", "--json").stdout)
    assert [one["experiment_id"] for one in history["experiments"]] == ids
    assert [one["verdict"] for one in history["experiments"]] == ["agree", "differ"]
    assert history["setting_differences"] == [
        {"path": "loss.reduction", "side": "torch", "values": dict(zip(ids, ("mean", "sum"), strict=True))}
    ]
    losses = [one["sides"]["torch"]["final loss"] for one in history["experiments"]]
    assert losses[0] != losses[1]

    beside = likewise("show", *ids[::-1])
    said = " ".join(beside.stdout.split())
    assert f"is differ in {ids[1][:8]}, with loss.reduction sum instead of mean." in said
    assert json.loads(likewise("show", *ids[::-1], "--json").stdout)["experiments"] == history["experiments"]
    assert likewise("show", ids[0], ids[0]).returncode == 2
    nobody = likewise("history", "nobody")
    assert (nobody.returncode, "no experiment is called 'nobody'" in nobody.stderr) == (2, True)
