"""Calibration: whether a class said to have probability 0.7 is the right one in 70 % of cases."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, softmax, stdtrit

from sertools.errors import UserError
from sertools.runs.predictions import Floats, Ints, Predictions

BINS = 15
SMALLEST = 1e-12
"""Probabilities below it count as it: one certain mistake must not make the NLL infinite."""
TEMPERATURES = (0.05, 20.0)
"""Bounds of the fit; reached where dev has no mistake at all, or nothing but chance."""
SHRINKAGES = (1.0, 0.75, 0.5, 0.25)
"""Powers of a fitted temperature: 1 leaves it as it is, smaller ones draw it towards 1, the raw probabilities."""
GROUPS = 8
"""Of dev speakers, each of which is held out once."""
SURE = 0.9
"""How sure a gain on held-out dev speakers must be."""


@dataclass(frozen=True)
class Bin:
    """The utterances whose top probability lies in one bin: how many, its mean, the share of right ones.

    ``count`` is a mean over seeds; ``confidence`` and ``right`` are 0 if it is 0.
    """

    count: float
    confidence: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """How well the probabilities of one part are calibrated; all numbers are means over seeds.

    Attributes:
        ece: expected calibration error, in 0 .. 1.
        nll: mean negative log-probability of the true class, in nats.
        bins: what ``ece`` was computed from, with the seeds pooled.
    """

    ece: float
    nll: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class TemperatureScaling:
    """Test probabilities before and after temperature scaling.

    Attributes:
        raw: as the models gave them.
        calibrated: with the temperature of each run fitted on its own dev part; None without dev parts.
        temperatures: (fold, seed, temperature), sorted; empty without dev parts.  A temperature of 1 is that of
            a run whose probabilities were kept as they are, see :func:`fit_on_dev`.
    """

    raw: Calibration
    calibrated: Calibration | None
    temperatures: tuple[tuple[str, int, float], ...]

    @property
    def kept(self) -> int:
        """How many runs' probabilities were kept as they are."""
        return sum(temperature == 1.0 for *_, temperature in self.temperatures)


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> float:
    """ECE: sum over bins of |share right - mean top probability|, weighted by the bin's utterances.

    Source: Naeini et al., Obtaining well calibrated probabilities using Bayesian binning (AAAI 2015);
    Guo et al., On calibration of modern neural networks (ICML 2017), equation 3.

    Args:
        probabilities: (N, C).
        labels: (N,) true classes, integers.
        bins: of equal width; a top probability on a border belongs to the bin below it.

    Raises:
        ValueError: shapes or labels that do not fit, no utterances, no bins.

    >>> round(expected_calibration_error([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], [0, 1, 1], bins=10), 4)
    0.4
    """
    found = reliability(probabilities, labels, bins)
    return sum(b.count * abs(b.right - b.confidence) for b in found) / sum(b.count for b in found)


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """The bins of :func:`expected_calibration_error`, from low to high top probability."""
    values, truth = _checked(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    confidence = values.max(axis=1)
    right = (values.argmax(axis=1) == truth).astype(np.float64)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts, confidences, rights = (
        np.bincount(index, weights=weights, minlength=bins) for weights in (np.ones(len(truth)), confidence, right)
    )
    return tuple(
        Bin(float(n), float(c / max(n, 1)), float(r / max(n, 1)))
        for n, c, r in zip(counts, confidences, rights, strict=True)
    )


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of -ln p(true class), in nats; probabilities below 1e-12 count as 1e-12.

    Args:
        probabilities: (N, C).
        labels: (N,) true classes, integers.
    """
    values, truth = _checked(probabilities, labels)
    return float(-np.log(np.maximum(values[np.arange(len(truth)), truth], SMALLEST)).mean())


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T with which :func:`apply_temperature` gives the smallest NLL on these utterances.

    The NLL is convex in 1 / T, so the bounded search finds the one minimum.  T is in 0.05 .. 20.

    Source: Guo et al., On calibration of modern neural networks (ICML 2017), section 4.2.

    Args:
        probabilities: (N, C) of utterances on which the model was not trained: dev.
        labels: (N,) true classes, integers.

    Raises:
        ValueError: shapes or labels that do not fit, or no utterances.
    """
    values, truth = _checked(probabilities, labels)
    logs = np.log(np.maximum(values, SMALLEST))
    of_truth = logs[np.arange(len(truth)), truth]

    from scipy.optimize import minimize_scalar  # slow to import

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float((logsumexp(inverse * logs, axis=1) - inverse * of_truth).mean())

    # searched in ln T: as exact for small temperatures as for large ones
    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x))


def apply_temperature(probabilities: ArrayLike, temperature: float) -> Floats:
    """p^(1/T), each row divided by its sum: flatter for T > 1, the order of the classes kept.

    Args:
        probabilities: (N, C); below 1e-12 they count as 1e-12.
        temperature: T > 0, as from :func:`fit_temperature`.

    Returns:
        (N, C) float64.

    Raises:
        ValueError: T is not positive and finite.
    """
    if not (temperature > 0 and np.isfinite(temperature)):
        raise ValueError(f"a temperature must be positive and finite, not {temperature}")
    scaled: Floats = softmax(np.log(np.maximum(np.asarray(probabilities, float), SMALLEST)) / temperature, axis=1)
    return scaled


def fit_on_dev(dev: Predictions) -> float:
    """The temperature of a run, from its dev rows: only as far from 1 as it helps dev speakers that are held out.

    Temperatures of few speakers may be those speakers' own: fitted on two, one of 0.22 made the NLL of new speakers
    0.68 instead of 0.59.  So each dev speaker (each of at most eight groups) is held out once: the temperature of the
    others, shrunk by each of :data:`SHRINKAGES`, is tried on the one.  The shrinkage with the largest mean gain in
    NLL is taken for the temperature of all, or 1 if that gain could be chance (a one-sided t-test over the held-out
    ones, at 10 %).  With a single dev speaker nothing can be held out, and the temperature is 1.

    Args:
        dev: dev rows of one run, at least one.

    Returns:
        T; 1 keeps the probabilities as they are.
    """
    _, speaker = np.unique(dev.speakers, return_inverse=True)
    group = speaker.reshape(-1) % GROUPS
    if group.max() == 0:
        return 1.0
    gains = []
    for held_out in range(int(group.max()) + 1):
        others, one = dev.rows(group != held_out), dev.rows(group == held_out)
        fitted = fit_temperature(others.probabilities, others.labels)
        raw = negative_log_likelihood(one.probabilities, one.labels)
        scaled = [apply_temperature(one.probabilities, fitted**power) for power in SHRINKAGES]
        gains.append([raw - negative_log_likelihood(values, one.labels) for values in scaled])
    table = np.array(gains)
    means, errors = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(table))
    best = int(means.argmax())
    if not means[best] > stdtrit(len(table) - 1, SURE) * errors[best]:
        return 1.0
    return float(fit_temperature(dev.probabilities, dev.labels) ** SHRINKAGES[best])


def calibrate(table: Predictions) -> tuple[Predictions, dict[tuple[str, int], float]]:
    """Calibrate the test rows of a table: each run (fold, seed) by :func:`fit_on_dev` of its own dev rows.

    Returns:
        The test rows with calibrated probabilities, and the temperatures, sorted by fold and seed.

    Raises:
        UserError: a run with test rows has no dev rows.
    """
    test = table.select(part="test")
    probabilities = test.probabilities.copy()
    temperatures: dict[tuple[str, int], float] = {}
    for fold, seed in sorted(set(zip(test.folds.tolist(), test.seeds.tolist(), strict=True))):
        dev = table.select(part="dev", fold=fold, seed=seed)
        if not len(dev):
            raise UserError(
                f"fold {fold} seed {seed} has no dev rows, on which a temperature is fitted; train it again"
            )
        temperatures[fold, seed] = fit_on_dev(dev)
        rows = (test.folds == fold) & (test.seeds == seed)
        if temperatures[fold, seed] != 1.0:
            probabilities[rows] = apply_temperature(test.probabilities[rows], temperatures[fold, seed])
    return replace(test, outputs=probabilities), temperatures


def measure(table: Predictions) -> Calibration:
    """ECE and NLL of all rows of ``table``: of each repetition and seed with the folds pooled, then their mean."""
    pairs = sorted(set(zip(table.repetitions.tolist(), table.seeds.tolist(), strict=True)))
    runs = [table.select(repetition=repetition, seed=seed) for repetition, seed in pairs]
    return Calibration(
        ece=float(np.mean([expected_calibration_error(rows.probabilities, rows.labels) for rows in runs])),
        nll=float(np.mean([negative_log_likelihood(rows.probabilities, rows.labels) for rows in runs])),
        bins=tuple(
            replace(b, count=b.count / len(runs)) for b in reliability(table.probabilities, table.labels)
        ),
    )  # fmt: skip


def temperature_scaling(table: Predictions) -> TemperatureScaling:
    """Calibration of the test rows before and, where the table has dev rows, after temperature scaling.

    Raises:
        UserError: some runs have dev rows and others have none.
    """
    raw = measure(table.select(part="test"))
    if not (table.parts == "dev").any():
        return TemperatureScaling(raw, None, ())
    calibrated, temperatures = calibrate(table)
    return TemperatureScaling(raw, measure(calibrated), _rows(temperatures))


def _rows(temperatures: Mapping[tuple[str, int], float]) -> tuple[tuple[str, int, float], ...]:
    return tuple((fold, seed, value) for (fold, seed), value in temperatures.items())


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], Ints]:
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if values.ndim != 2 or truth.shape != values.shape[:1]:
        raise ValueError(f"probabilities must be (N, C) and labels (N,), found {values.shape} and {truth.shape}")
    if not len(truth):
        raise ValueError("no utterances to calibrate on")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= values.shape[1]:
        raise ValueError(f"labels must be integers in 0 .. {values.shape[1] - 1}")
    return values, truth.astype(np.int64)
