"""The settings that are searched, and the trials that a grid or chance makes of them."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import yaml

from sertools.errors import UserError

Method = Literal["grid", "random", "optuna"]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``: whole ones if both are, even on a logarithm if ``log``."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, generator: random.Random) -> float:
        """One of them."""
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
            return min(max(round(value), self.low), self.high) if self.whole else float(f"{value:.4g}")
        if self.whole:
            return generator.randint(int(self.low), int(self.high))
        return float(f"{generator.uniform(self.low, self.high):.4g}")


Space = dict[str, Range | tuple[Any, ...]]
"""Dotted name of a setting to its values."""


def read_space(values: Mapping[str, Any], where: str) -> Space:
    """A space out of a YAML file.

    Its lines are as ``training.learning_rate: {low: 1e-4, high: 1e-2, log: true}``, or ``dropout: [0, 0.3]``.

    Raises:
        UserError: a value is neither a list nor such a range.
    """
    if not isinstance(values, dict) or not values:
        raise UserError(f"{where}: one line a setting is needed, such as training.learning_rate: [0.001, 0.003]")
    space: Space = {}
    for name, told in values.items():
        if isinstance(told, list) and told:
            space[str(name)] = tuple(told)
        elif isinstance(told, dict) and {"low", "high"} <= told.keys() <= {"low", "high", "log"}:
            low, high, log = _number(told["low"]), _number(told["high"]), told.get("log", False)
            if low is None or high is None or not low < high or not isinstance(log, bool) or (log and low <= 0):
                raise UserError(f"{where}: {name}: low must be a number less than high (and positive, with log: true)")
            space[str(name)] = Range(low, high, log)
        else:
            raise UserError(f"{where}: {name} must be a list of values, or {{low: A, high: B, log: true}}")
    return space


def _number(value: Any) -> float | None:
    """YAML takes 1e-4 for a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def make_trials(space: Space, method: Method, number: int, seed: int) -> list[dict[str, Any]]:
    """The settings of all trials, in order; the same for the same arguments.

    Args:
        space: see :func:`read_space`.
        method: ``grid``: all combinations, ``number`` being the most that there may be; ``random``: so many.
        number: of trials.
        seed: of chance.

    Raises:
        UserError: a grid with ranges, or with more combinations than ``number``.
    """
    if method == "grid":
        ranges = [name for name, values in space.items() if isinstance(values, Range)]
        if ranges:
            raise UserError(f"a grid needs lists of values, and {ranges[0]} is a range; say --method random")
        lists = [values for values in space.values() if not isinstance(values, Range)]
        count = math.prod(map(len, lists))
        if count > number:
            raise UserError(
                f"the grid has {count} combinations, more than --trials {number}; allow them, or --method random"
            )
        return [dict(zip(space, values, strict=True)) for values in product(*lists)]
    generator = random.Random(seed)
    trials = []
    for _ in range(number):
        drawn = {
            name: values.draw(generator) if isinstance(values, Range) else generator.choice(values)
            for name, values in space.items()
        }
        if drawn not in trials:  # lists may be exhausted
            trials.append(drawn)
    return trials


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """As ``--set`` takes them."""
    return [f"{name}={_as_yaml(value)}" for name, value in settings.items()]


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).strip().removesuffix("...").strip()


def suggest(trial: Any, space: Space) -> dict[str, Any]:
    """What Optuna asks to be tried next."""
    found: dict[str, Any] = {}
    for name, values in space.items():
        if not isinstance(values, Range):
            # a choice must be a number or a text there
            found[name] = values[trial.suggest_categorical(name, list(range(len(values))))]
        elif values.whole:
            found[name] = trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
        else:
            found[name] = float(f"{trial.suggest_float(name, values.low, values.high, log=values.log):.4g}")
    return found
