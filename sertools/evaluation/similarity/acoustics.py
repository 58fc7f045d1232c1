"""How far apart two sets of speech sound: the Fréchet distance of their log-mel frames."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sertools.errors import UserError
from sertools.features.access import find
from sertools.manifests import read_cuts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sound:
    """Mean (F,) and covariance (F, F) of frames."""

    mean: Floats
    covariance: Floats


def sound_of(cuts: Path, features: str, utterances: Collection[str], draw: int = 200, seed: int = 0) -> Sound:
    """Of ``draw`` random utterances, each counting by its frames.

    Raises:
        UserError: none of the utterances is in the manifest, or it has no such features.
    """
    wanted = set(utterances)
    places = {cut.id: find(cut, features) for cut in read_cuts(cuts) if cut.id in wanted}
    if not places:
        raise UserError(f"{cuts} has none of the utterances of the folds; give the features of that corpus")
    chosen = random.Random(seed).sample(sorted(places), min(draw, len(places)))
    frames = np.concatenate([places[name].read().numpy().astype(np.float64) for name in chosen])
    return Sound(frames.mean(0), np.cov(frames, rowvar=False))


def frechet_distance(one: Sound, other: Sound) -> float:
    """Between two normal distributions, in the units of the features (dB); Dowson and Landau 1982."""
    vectors: Any
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ other.covariance @ root)
    square = float(((one.mean - other.mean) ** 2).sum())
    square += float(np.trace(one.covariance) + np.trace(other.covariance))
    square -= 2 * float(np.sqrt(np.maximum(inner, 0)).sum())
    return float(np.sqrt(max(0.0, square)))
