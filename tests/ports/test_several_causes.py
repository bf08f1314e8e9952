"""Two causes in one program are both told, whatever the first one hides: in a step, or in a loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from likewise.producer.port.models import PortCheck

Edit = tuple[str, str]
CONSISTENCY = ("0.3 * consistency", "0.03 * consistency")
SLOWER = ("old.lerp_(new, 0.05)", "old.lerp_(new, 0.95)")
CLIPPED = ("discriminator.parameters(), 0.5)", "discriminator.parameters(), 0.01)")
SMOOTHED = ("slow.mul_(0.99).add_(fast, alpha=0.01)", "slow.mul_(0.9).add_(fast, alpha=0.1)")
NORM = (
    "    optimizer.step()",
    "    nn.utils.clip_grad_norm_(model.parameters(), 0.01)\n    optimizer.step()",
)
STEPS = {
    "a loss and an average of weights": ("averaged", (CONSISTENCY, SLOWER), ["gradients", "update"]),
    "a clip and an average of weights": ("gan", (CLIPPED, SMOOTHED), ["gradients", "update"]),
    "a loss and a clip": (
        "schedule",
        (
            ("value.backward()", "(0.5 * value).backward()"),
            NORM,
        ),
        ["gradients", "gradients"],
    ),
    "an activation and a clip": (
        "accumulate",
        (
            ("self.fc1(x).tanh()", "self.fc1(x).sigmoid()"),
            NORM,
        ),
        ["forward", "gradients"],
    ),
    "an optimizer and an average of weights": (
        "gan",
        (("lr=1e-3, betas=(0.5", "lr=1e-3, betas=(0.9"), SMOOTHED),
        ["settings", "update"],
    ),
    "a norm and a learning rate": (
        "mlp",
        (("eps=1e-5", "eps=1e-3"), ("lr=0.1", "lr=0.01")),
        ["settings"] * 2,
    ),
    "a loss and a schedule": (
        "schedule",
        (("criterion = nn.MSELoss()", "criterion = nn.L1Loss()"), ("gamma=0.7", "gamma=0.9")),
        ["gradients", "updates"],
    ),
}


@pytest.mark.parametrize(("pair", "edits", "rungs"), STEPS.values(), ids=list(STEPS))
def test_a_second_cause_in_a_step_is_told_beside_the_first(
    check: Callable[..., PortCheck], pair: str, edits: tuple[Edit, ...], rungs: list[str]
) -> None:
    found = check(pair, side="torch", edits=edits)
    assert [one.rung for one in found.findings] == rungs, [one.text for one in found.findings]
    assert [one.rung for one in check(pair, side="torch", edits=edits[:1]).findings] == rungs[:1]


@pytest.mark.parametrize("reference", ["keras", "torch"])
def test_the_same_of_a_keras_step(check: Callable[..., PortCheck], reference: str) -> None:
    edits = (("clipvalue=0.5", "clipvalue=0.01"), ("0.99 * slow + 0.01 * fast", "0.9 * slow + 0.1 * fast"))
    found = check("gan", side="keras", edits=edits, reference=reference)
    assert [one.rung for one in found.findings] == ["gradients", "update"]


@pytest.mark.parametrize("reference", ["keras", "torch"])
def test_what_a_loop_does_from_its_second_round_on_is_told_beside_what_comes_behind_it(
    check: Callable[..., PortCheck], reference: str
) -> None:
    edits = (("0.1 * h)", "0.2 * h)"), ("torch.relu(h)", "torch.sigmoid(h)"))
    found = check("looped", side="torch", edits=edits, reference=reference)
    lines = [one.lines["torch"] for one in found.findings if one.rung == "forward"]
    assert lines == ["looped_torch.py:17", "looped_torch.py:18"], [one.text for one in found.findings]


def test_an_activation_of_every_round_does_not_hide_what_the_second_adds(
    check: Callable[..., PortCheck],
) -> None:
    edits = (("torch.tanh(", "torch.sigmoid("), ("0.1 * h)", "0.2 * h)"))
    found = check("looped", side="torch", edits=edits)
    assert [one.path for one in found.findings if one.rung == "forward"] == ["tanh", "multiply"]
