"""Faults of loaders and evaluations."""

from __future__ import annotations

from .faults import Fault

_FINISHED = "return x.permute(2, 0, 1), self.y[i]"

FAULTS = [
    Fault("pictures", "/ 255", "/ 256", "data", "data.x", "mean_and_deviation"),
    Fault("pictures", "[0.2, 0.25, 0.3]", "[0.229, 0.224, 0.225]", "data", "data.x", "mean_and_deviation"),
    Fault("pictures", "        x = (x - self.mean) / self.std\n", "", "data", "data.x", "mean_and_deviation"),
    Fault("pictures", _FINISHED, "return 2 * x.permute(2, 0, 1), self.y[i]", "data", "data.x", "scale"),
    Fault("pictures", "self.y[i]", "self.y[i] + 1", "data", "data.y", "label_coding"),
    Fault("pictures", "self.y[i]", "3 - self.y[i]", "data", "data.y", "label_coding"),
    Fault(
        "pictures",
        "        x = torch.from_numpy(self.x[i])",
        "        i = len(self) - 1 - i\n        x = torch.from_numpy(self.x[i])",
        "data",
        "data",
        "order",
    ),
    Fault("pictures", "argmax(1)", "argmin(1)", "data", "evaluate.accuracy"),
]
