"""The state of an interrupted i-vector training: one safetensors file, replaced as a whole."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sertools.files import replacing
from sertools.training.state import load_summed, save_summed


@dataclass
class TrainingState:
    """Where training stands.

    Attributes:
        path: the file.
        key: hash of everything that training depends on.
        steps: those that are done, in order.
        history: an entry each.
        tensors: what they made.
    """

    path: Path
    key: str
    steps: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def load(path: Path, key: str) -> "TrainingState":
        """What an interrupted training left; a new state if there is none of this key, or it is damaged."""
        if path.exists():
            tensors, metadata = load_summed(path) or ({}, {})
            record = json.loads(metadata.get("state", "{}"))
            if record.get("key") == key:
                logging.info("going on after step '%s'", record["steps"][-1])
                return TrainingState(path, key, record["steps"], record["history"], tensors)
        return TrainingState(path, key)

    def done(self, step: str, entry: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Save the result of a step, and log it."""
        self.steps.append(step)
        self.history.append({"step": step} | entry)
        self.tensors.update(tensors)
        with replacing(self.path) as temporary:
            record = {"key": self.key, "steps": self.steps, "history": self.history}
            save_summed(temporary, self.tensors, {"state": json.dumps(record)})
        shown = "  ".join(f"{n} {v:.5g}" if isinstance(v, float) else f"{n} {v}" for n, v in entry.items())
        logging.info("%s: %s", step, shown)
