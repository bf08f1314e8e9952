"""Step by step, the frameworks give the same numbers: exactly one formula each, whatever the job declares.

In float64 what is left is rounding of 1e-16; a difference in meaning, such as a constant taken through
float32, is at least 1e-9. The float32 bars are those measured for these frameworks' kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Case = dict[str, Any]

ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid", "softmax", "mish", "log_softmax", "softmin", "relu6", "hard_silu",
    "hard_tanh", "log_sigmoid", "tanh_shrink", "exponential", "sparse_plus", "sparse_sigmoid",
    "sparsemax",
    "celu", "hard_sigmoid",
    "soft_shrink", "hard_shrink", "squareplus",
)  # fmt: skip
LOSSES = {
    "mse": "regression",
    "mae": "regression",
    "huber": "regression",
    "log_cosh": "regression",
    "quantile": "regression",
    "cosine_similarity": "regression",
    "poisson": "counts",
    "kl_divergence": "probabilities",
    "binary_crossentropy": "binary",
    "binary_focal_crossentropy": "binary",
    "hinge": "binary",
    "squared_hinge": "binary",
    "dice": "binary",
    "tversky": "binary",
    "categorical_crossentropy": "multiclass",
    "categorical_focal_crossentropy": "multiclass",
    "categorical_hinge": "multiclass",
    "multi_margin": "multiclass",
}
CLASS_LOSSES: dict[str, dict[str, Any]] = {
    "smoothed": {"label_smoothing": 0.2},
    "weighted": {"class_weights": [0.5, 3.0, 1.5]},
    "smoothed and weighted": {"label_smoothing": 0.2, "class_weights": [0.5, 3.0, 0.0]},
}
PROBABLE = [
    {"type": "dense", "units": 6, "activation": "tanh"},
    {"type": "dense", "units": 3, "activation": "softmax"},
]
LIKELY = [*PROBABLE[:1], {"type": "dense", "units": 3, "activation": "sigmoid"}]
SINGLE = [*PROBABLE[:1], {"type": "dense", "units": 1}]
WEIGHTED = {"type": "inline", "x": [0.0], "y": [0.0], "sample_weights": [1.0]}
LOSS_CONVENTIONS: dict[str, dict[str, Any]] = {
    "weighted by weights": {
        "loss": {
            "type": "categorical_crossentropy", "class_weights": [0.5, 3.0, 1.5], "weighting": "by_weights",
        },
        "task": "multiclass",
    },
    "ignored": {"loss": {"type": "categorical_crossentropy", "ignore_index": 1}, "task": "multiclass"},
    "probabilities of classes": {
        "loss": {"type": "categorical_crossentropy", "from_logits": False, "label_smoothing": 0.1},
        "task": "multiclass",
        "layers": PROBABLE,
    },
    "probabilities": {
        "loss": {"type": "binary_crossentropy", "from_logits": False},
        "task": "binary",
        "layers": LIKELY,
    },
    "focal, balanced, at another gamma": {
        "loss": {
            "type": "binary_focal_crossentropy", "gamma": 1.5, "apply_class_balancing": True,
            "label_smoothing": 0.1, "class_weights": [0.5, 3.0],
        },
        "task": "binary",
    },
    "focal probabilities": {
        "loss": {"type": "binary_focal_crossentropy", "from_logits": False},
        "task": "binary",
        "layers": LIKELY,
    },
    "focal probabilities of classes": {
        "loss": {
            "type": "categorical_focal_crossentropy", "from_logits": False, "label_smoothing": 0.1,
            "gamma": 0.5,
        },
        "task": "multiclass",
        "layers": PROBABLE,
    },
    "hinge as given": {"loss": {"type": "hinge", "labels": "as_given"}, "task": "binary"},
    "hinge of weighed classes": {
        "loss": {"type": "squared_hinge", "class_weights": [0.5, 3.0], "weighting": "by_weights"},
        "task": "binary",
    },
    "squared margins": {
        "loss": {"type": "multi_margin", "p": 2, "margin": 0.5, "class_weights": [0.5, 3.0, 1.5]},
        "task": "multiclass",
    },
    "overlap a sample": {
        "loss": {"type": "dice", "per": "sample", "smooth": 1.0, "from_logits": False},
        "task": "binary",
        "layers": LIKELY,
    },
    "uneven overlap": {
        "loss": {"type": "tversky", "alpha": 0.7, "beta": 0.3, "smooth": 0.5}, "task": "binary",
    },
    "sample weights": {"data": WEIGHTED, "loss": {"type": "mse"}},
    "sample weights by weights": {
        "data": WEIGHTED, "loss": {"type": "mae", "weighting": "by_weights", "reduction": "mean"},
    },
    "sample and class weights": {
        "data": WEIGHTED,
        "loss": {"type": "categorical_crossentropy", "class_weights": [0.5, 3.0, 1.5]},
        "task": "multiclass",
    },
    "broadcast": {"loss": {"type": "mse", "targets": "broadcast"}, "layers": SINGLE, "outputs": 1},
}  # fmt: skip
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"type": "sgd", "learning_rate": 0.05},
    "momentum": {"type": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    "nesterov": {"type": "sgd", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    "adam": {"type": "adam", "learning_rate": 0.002},
    "adamw": {"type": "adamw", "learning_rate": 0.002, "weight_decay": 0.0},
    "rmsprop": {"type": "rmsprop", "learning_rate": 0.002},
    "rmsprop momentum": {"type": "rmsprop", "learning_rate": 0.002, "momentum": 0.9},
}
MORE_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam amsgrad": {"type": "adam", "learning_rate": 0.002, "amsgrad": True},
    "adamw amsgrad": {"type": "adamw", "learning_rate": 0.002, "amsgrad": True},
    "adamax": {"type": "adamax", "learning_rate": 0.002},
    "nadam": {"type": "nadam", "learning_rate": 0.002},
    "nadam fast": {"type": "nadam", "learning_rate": 0.002, "momentum_decay": 1.0},
    "rmsprop centered": {"type": "rmsprop", "learning_rate": 0.002, "centered": True},
    "rmsprop centered momentum": {
        "type": "rmsprop", "learning_rate": 0.001, "centered": True, "momentum": 0.9,
    },
    "adagrad": {"type": "adagrad", "learning_rate": 0.02},
    "adagrad from 0": {"type": "adagrad", "learning_rate": 0.02, "initial_accumulator_value": 0.0},
    "adadelta": {"type": "adadelta"},
    "rmsprop from 1": {"type": "rmsprop", "learning_rate": 0.002, "initial_accumulator_value": 1.0},
    "adam uncorrected": {"type": "adam", "learning_rate": 0.002, "bias_correction": False},
    "adamw uncorrected": {"type": "adamw", "learning_rate": 0.002, "bias_correction": False},
    "adamax uncorrected": {"type": "adamax", "learning_rate": 0.002, "bias_correction": False},
    "nadam uncorrected": {"type": "nadam", "learning_rate": 0.002, "bias_correction": False},
}  # fmt: skip
"""Through the same clipping and decay as those above, so that one case for both will do."""
CONVENTIONS: dict[str, dict[str, Any]] = {
    "momentum buffer": {
        "type": "sgd", "learning_rate": 0.02, "momentum": 0.9, "momentum_convention": "buffer",
    },
    "nesterov buffer": {
        "type": "sgd", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True,
        "momentum_convention": "buffer",
    },
    "adam hat": {"type": "adam", "learning_rate": 0.002, "epsilon_placement": "hat"},
    "adam decoupled": {"type": "adam", "learning_rate": 0.002, "weight_decay_kind": "decoupled"},
    "adamw coupled": {"type": "adamw", "learning_rate": 0.002, "weight_decay_kind": "coupled"},
    "adamax inside": {"type": "adamax", "learning_rate": 0.002, "epsilon_placement": "inside"},
    "nadam hat": {"type": "nadam", "learning_rate": 0.002, "epsilon_placement": "hat"},
    "rmsprop inside": {"type": "rmsprop", "learning_rate": 0.002, "epsilon_placement": "inside"},
    "rmsprop velocity": {
        "type": "rmsprop", "learning_rate": 0.001, "momentum": 0.9, "momentum_convention": "velocity",
    },
    "decay of kernels": {"type": "adam", "learning_rate": 0.002, "exclude_from_weight_decay": ["bias"]},
    "decay of biases": {"type": "adamw", "learning_rate": 0.002, "include_in_weight_decay": ["bias"]},
    "adagrad inside": {"type": "adagrad", "learning_rate": 0.02, "epsilon_placement": "inside"},
}  # fmt: skip
CLIPPINGS: dict[str, dict[str, float]] = {
    "unclipped": {},
    "clip_value": {"clip_value": 0.02},
    "clip_norm": {"clip_norm": 0.1},
    "global_clip_norm": {"global_clip_norm": 0.2},
}
DECAYS = {"": {}, " decayed": {"weight_decay": 0.03}}
SCHEDULE = {"type": "exponential", "decay_steps": 7, "decay_rate": 0.5, "warmup": 4}
DROPPING = [
    {"type": "dropout", "rate": 0.2},
    {"type": "flatten"},
    {"type": "dense", "units": 8, "activation": "gelu", "name": "hidden"},
    {"type": "dropout", "rate": 0.5, "name": "drop"},
    {"type": "dropout", "rate": 0.0},
    {"type": "activation", "activation": "elu"},
    {"type": "dense", "units": 3, "use_bias": False},
]
LAST_AXIS = [
    {"type": "dense", "units": 4, "activation": "relu"},
    {"type": "flatten"},
    {"type": "dense", "units": 3},
]

CHANGES: dict[str, dict[str, Any]] = (
    {f"activation {name}": {"activation": name} for name in ACTIVATIONS}
    | {
        "activation leaky_relu 0.01": {"activation": {"type": "leaky_relu", "negative_slope": 0.01}},
        "activation elu 0.4": {"activation": {"type": "elu", "alpha": 0.4}},
        "activation softplus 2.5": {"activation": {"type": "softplus", "beta": 2.5}},
        "activation hard_tanh 0 to 0.75": {
            "activation": {"type": "hard_tanh", "min_value": 0.0, "max_value": 0.75}
        },
        "activation clipped_relu 0.25 to 0.75": {
            "activation": {
                "type": "clipped_relu",
                "max_value": 0.75,
                "negative_slope": 0.1,
                "threshold": 0.25,
            }
        },
        "activation exponential": {
            "activation": "exponential",
            "optimizer": {"type": "sgd", "learning_rate": 0.005},  # larger steps make chaos of rounding
        },
    }
    | {
        f"loss {name} {reduction}": {
            "loss": {"type": name, "reduction": reduction},
            "task": task,
            "optimizer": {"type": "sgd", "learning_rate": 0.05 if reduction == "mean" else 0.003},
        }
        for name, task in LOSSES.items()
        for reduction in ("mean", "sum", "sum_of_means")
    }
    | {f"loss convention {name}": changes for name, changes in LOSS_CONVENTIONS.items()}
    | {
        f"loss categorical_crossentropy {name}": {
            "loss": {"type": "categorical_crossentropy"} | options,
            "task": "multiclass",
        }
        for name, options in CLASS_LOSSES.items()
    }
    | {
        "loss binary_crossentropy smoothed and weighted": {
            "loss": {
                "type": "binary_crossentropy",
                "label_smoothing": 0.2,
                "class_weights": [0.5, 3.0],
            },
            "task": "binary",
        }
    }
    | {
        f"optimizer {name} {clipping}{decay}": {"optimizer": optimizer | CLIPPINGS[clipping] | DECAYS[decay]}
        for name, optimizer in OPTIMIZERS.items()
        for clipping in CLIPPINGS
        for decay in DECAYS
    }
    | {f"optimizer {name}": {"optimizer": optimizer} for name, optimizer in MORE_OPTIMIZERS.items()}
    | {
        f"optimizer {name} under everything": {
            "optimizer": optimizer | {"global_clip_norm": 0.2, "weight_decay": 0.03, "schedule": SCHEDULE}
        }
        for name, optimizer in MORE_OPTIMIZERS.items()
    }
    | {
        f"optimizer convention {name}": {
            "optimizer": {
                "clip_norm": 0.1,
                "clip_epsilon": 1e-3,
                "weight_decay": 0.03,
                "schedule": SCHEDULE,
            }
            | optimizer
        }
        for name, optimizer in CONVENTIONS.items()
    }
    | {
        f"schedule {name}": {"optimizer": optimizer | {"schedule": SCHEDULE}}
        for name, optimizer in OPTIMIZERS.items()
    }
    | {
        f"dropout {name}": {"layers": DROPPING, "input_shape": [2, 3], "optimizer": optimizer}
        for name, optimizer in OPTIMIZERS.items()
    }
    | {"dense on the last axis": {"layers": LAST_AXIS, "input_shape": [2, 3]}}
)
AT_ZERO = {f"activation {name} at exactly 0": {"activation": name, "zeros": True} for name in ACTIVATIONS}
"""The gradients at 0. In float64 alone: `test_small_numbers` has what float32 does from 0."""

FLOAT64 = {f"float64 {name}": changes for name, changes in (CHANGES | AT_ZERO).items()}
FLOAT32 = {f"float32 {name}": changes | {"precision": "float32"} for name, changes in CHANGES.items()}


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Case]) -> Any:
    cases = [make_case(name, steps=50, **changes) for name, changes in FLOAT64.items()]
    cases += [make_case(name, steps=100, **changes) for name, changes in FLOAT32.items()]
    return train(cases)


@pytest.mark.parametrize("name", FLOAT64)
def test_in_float64_the_first_step_agrees_to_1e_12_and_fifty_to_1e_10(
    name: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    for pair in pairs(name, trained):
        assert pair.difference("start") == 0
        assert pair.difference("gradient") <= 1e-12
        assert pair.first_update_difference() <= 1e-12
        assert pair.difference("first") <= 1e-12
        one, other = pair.both("losses")
        assert abs(one[0] - other[0]) <= 1e-12 * abs(one[0])
        assert pair.difference("losses") <= 1e-10
        assert pair.difference("end") <= 1e-10
        assert pair.difference("outputs") <= 1e-10


@pytest.mark.parametrize("name", FLOAT32)
def test_in_float32_the_first_loss_agrees_to_4_ulps_and_the_weights_after_100_steps_to_5e_7(
    name: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    for pair in pairs(name, trained):
        assert pair.difference("start") == 0
        assert pair.first_loss_ulps() <= 4
        assert pair.difference("gradient") <= 1e-6
        assert pair.difference("end") <= 5e-7


def test_a_process_loads_its_own_framework_and_no_other(trained: Any) -> None:
    packages = {"tensorflow": {"tensorflow", "keras"}, "torch": {"torch"}}
    for framework, arrays in trained.items():
        loaded = set(arrays["modules"].tolist())
        assert packages[framework] <= loaded
        others = set().union(*(names for name, names in packages.items() if name != framework))
        assert not others & loaded
