"""Do i-vectors carry the speaker?  Identification by nearest neighbours, and a picture."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
from lhotse.cut import Cut
from numpy.typing import NDArray

from sertools.augmentation.fields import is_copy
from sertools.errors import UserError
from sertools.features.blocks import speaker
from sertools.features.ivector.extraction import ExtractionConfig, extract
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.passes import read_features
from sertools.manifests import read_cuts

Floats = NDArray[np.float64]
Names = NDArray[np.str_]


@dataclass(frozen=True)
class SpeakerVectors:
    """One i-vector of each utterance.

    Attributes:
        vectors: (N, E).
        speakers, genders: (N,).
        unseen: bool (N,), whether the extractor was not trained on the speaker.
    """

    vectors: Floats
    speakers: Names
    genders: Names
    unseen: NDArray[np.bool_]


@dataclass(frozen=True)
class Identification:
    """Leave-one-out nearest-neighbour identification, by the cosine of centred i-vectors.

    Attributes:
        utterances, speakers: how many.
        speaker: share of utterances whose nearest neighbour is of the same speaker.
        speaker_unseen: the same, over utterances of speakers that the extractor was not trained
            on; None if there are none.
        chance: share of the most frequent speaker.
        gender: share of utterances whose nearest neighbour *of another speaker* has the same gender.
    """

    utterances: int
    speakers: int
    speaker: float
    speaker_unseen: float | None
    chance: float
    gender: float

    def to_json(self) -> dict[str, Any]:
        """For ``speakers.json``."""
        return asdict(self)


def utterance_vectors(
    model: IvectorModel,
    cuts_path: Path | str,
    seen: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SpeakerVectors:
    """One i-vector of each utterance alone, without augmented copies: nothing is carried over.

    Args:
        model: the extractor.
        cuts_path: cuts with features, speakers and genders.
        seen: speakers that the extractor was trained on.
        progress: called with (utterances done, utterances in all).

    Raises:
        UserError: no features, or fewer than two speakers.
    """
    # an augmented copy is another voice of the same speaker: nobody to be identified
    cuts = [cut for cut in read_cuts(cuts_path) if not is_copy(cut)]
    names = np.array([speaker(cut) for cut in cuts])
    if len(set(names.tolist())) < 2:
        raise UserError(f"{cuts_path} has fewer than two speakers: there is nothing to identify")
    rows = []
    for number, cut in enumerate(cuts, start=1):
        found, _ = extract(model, [read_features(cut)], ExtractionConfig(mode="utterance"))
        rows.append(found[0][0].double().numpy())
        progress(number, len(cuts))
    genders = np.array([_gender(cut) for cut in cuts])
    return SpeakerVectors(np.stack(rows), names, genders, ~np.isin(names, list(seen)))


def _gender(cut: Cut) -> str:
    gender = str(cut.supervisions[0].gender or "unknown").lower() if cut.supervisions else "unknown"
    return {"f": "female", "m": "male"}.get(gender, gender)


def identify(table: SpeakerVectors) -> Identification:
    """Leave-one-out nearest neighbours; see :class:`Identification`."""
    centred = table.vectors - table.vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    right = table.speakers[similarity.argmax(axis=1)] == table.speakers
    similarity[table.speakers[:, None] == table.speakers[None]] = -np.inf
    same_gender = table.genders[similarity.argmax(axis=1)] == table.genders
    _, counts = np.unique(table.speakers, return_counts=True)
    return Identification(
        utterances=len(right),
        speakers=len(counts),
        speaker=float(right.mean()),
        speaker_unseen=float(right[table.unseen].mean()) if table.unseen.any() and not table.unseen.all() else None,
        chance=float(counts.max() / counts.sum()),
        gender=float(same_gender.mean()),
    )


def project(table: SpeakerVectors) -> Floats:
    """The two directions that separate speakers best (Fisher's discriminants): (N, 2).

    Principal components would not do: the extractor's prior makes all directions alike.
    """
    centred = table.vectors - table.vectors.mean(axis=0)
    _, number, counts = np.unique(table.speakers, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), centred.shape[1]))
    np.add.at(means, number, centred)
    means /= counts[:, None]
    deviations = centred - means[number]
    within = deviations.T @ deviations / len(centred)
    between = (means * counts[:, None]).T @ means / len(centred)
    within += 1e-6 * np.trace(within) * np.eye(len(within))
    _, directions = scipy.linalg.eigh(between, within)
    points: Floats = centred @ directions[:, :-3:-1]
    return points
