"""Small models and speakers, drawn at random, and Kaldi's reference where it is at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sertools.features.ivector.extractor import IvectorExtractor
from sertools.features.ivector.frontend import CmvnConfig, Frontend
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.ubm import DiagonalUbm, PosteriorConfig

FEATURES, DIM, GAUSSIANS, IVECTOR = 5, 4, 6, 3
INFO = {"type": "test", "num_features": FEATURES, "frame_shift": 0.01, "sampling_rate": 16000}


def random_model(seed: int = 0) -> IvectorModel:
    """6 Gaussians over 4 dimensions, i-vectors of 3; windows short enough to matter in a test."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    frontend = Frontend(normal(FEATURES), 0.3 * normal(DIM, 3 * FEATURES), normal(DIM), 1, CmvnConfig(20, 15, 10))
    weights = torch.rand(GAUSSIANS, generator=g, dtype=torch.float64) + 0.2
    ubm = DiagonalUbm(weights / weights.sum(), 2 * normal(GAUSSIANS, DIM), normal(GAUSSIANS, DIM).square() + 0.3)
    root = normal(GAUSSIANS, DIM, DIM)
    precisions = root @ root.transpose(1, 2) + torch.eye(DIM, dtype=torch.float64)
    projections = normal(GAUSSIANS, DIM, IVECTOR)
    projections[:, :, 0] = ubm.means / 7.0
    extractor = IvectorExtractor(ubm.weights, projections, precisions, 7.0)
    return IvectorModel(frontend, ubm, extractor, PosteriorConfig(3, 0.025, 0.1), INFO)


@pytest.fixture
def model() -> IvectorModel:
    """See :func:`random_model`."""
    return random_model()


@pytest.fixture
def speaker_of() -> Callable[..., list[Tensor]]:
    """Utterances (T, FEATURES) of a speaker: lengths to tensors, always the same."""

    def make(*lengths: int, seed: int = 1) -> list[Tensor]:
        g = torch.Generator().manual_seed(seed)
        shift = torch.randn(FEATURES, generator=g)
        return [shift + torch.randn(n, FEATURES, generator=g).cumsum(0) / 3 for n in lengths]

    return make


@dataclass(frozen=True)
class KaldiReference:
    """What Kaldi computed on 240 utterances of RAVDESS.

    Attributes:
        speakers: each a list of utterance names, in the order in which Kaldi saw them.
        features: name to MFCC (T, 40), by sertools with Kaldi's framing.
        frontend, ubm: Kaldi's.
        initial, final: the extractor before the first and after the fifth iteration.
        ivectors: name to the exact i-vectors (ceil(T / 10), 20).
    """

    speakers: list[list[str]]
    features: dict[str, Tensor]
    frontend: Frontend
    ubm: DiagonalUbm
    initial: IvectorExtractor
    final: IvectorExtractor
    ivectors: dict[str, np.ndarray]

    @property
    def utterances(self) -> list[Tensor]:
        """All features, speaker by speaker."""
        return [self.features[name] for names in self.speakers for name in names]


@pytest.fixture(scope="session")
def kaldi(shared: Path) -> KaldiReference:
    """Kaldi's models, and MFCC computed here: Kaldi's own are there for a few utterances only."""
    import soundfile

    from sertools.features.frames.mfcc import Mfcc, MfccConfig

    folder = shared / "reference/kaldi_ivector"
    m = {
        name: torch.from_numpy(np.asarray(value, dtype=np.float64))
        for name, value in np.load(folder / "models.npz").items()
    }
    speakers = [line.split()[1:] for line in (folder / "spk2utt").read_text().splitlines()]
    extractor = Mfcc(MfccConfig(snip_edges=True))
    features = {}
    for name in [name for names in speakers for name in names]:
        utterance = name.split("-", 1)[1]
        samples, rate = soundfile.read(
            shared / f"data/ravdess/Actor_{utterance[-2:]}/{utterance}.flac", dtype="float32"
        )
        features[name] = torch.from_numpy(extractor.extract(samples, rate))
    cmvn = m["global_cmvn"][0]
    ubm = DiagonalUbm(m["ubm_weights"], m["ubm_means_invvars"] / m["ubm_inv_vars"], 1 / m["ubm_inv_vars"])
    return KaldiReference(
        speakers=speakers,
        features=features,
        frontend=Frontend(cmvn[:-1] / cmvn[-1], m["pca"][:, :-1], m["pca"][:, -1], 3, CmvnConfig()),
        ubm=ubm,
        initial=IvectorExtractor(ubm.weights, m["M_init"], m["SigmaInv_init"], float(m["prior_offset_init"])),
        final=IvectorExtractor(ubm.weights, m["M"], m["SigmaInv"], float(m["prior_offset"])),
        ivectors=dict(np.load(folder / "ivectors_exact.npz")),
    )
