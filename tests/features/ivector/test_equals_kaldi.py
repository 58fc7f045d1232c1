"""Our numbers against Kaldi's, on real speech."""

import numpy as np
import pytest
import torch

from sertools.features.ivector import extractor_training, ubm_training
from sertools.features.ivector.extraction import ExtractionConfig, extract
from sertools.features.ivector.extractor_training import ExtractorConfig, ExtractorStatistics
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.frontend import ScatterStatistics, pca, splice
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.ubm import PosteriorConfig
from sertools.features.ivector.ubm_training import UbmConfig, UbmStatistics

pytestmark = pytest.mark.shared


def test_every_ivector(kaldi) -> None:  # type: ignore[no-untyped-def]
    model = IvectorModel(kaldi.frontend, kaldi.ubm, kaldi.final, PosteriorConfig(), {})
    compared = 0
    for names in kaldi.speakers:
        found, _ = extract(model, [kaldi.features[name] for name in names], ExtractionConfig())
        for name, ivectors in zip(names, found, strict=True):
            assert ivectors.shape == kaldi.ivectors[name].shape
            # 2e-3 was asked for
            assert np.abs(ivectors.numpy() - kaldi.ivectors[name]).max() < 3e-4
            compared += 1
    assert compared == 240


def test_five_iterations_of_training(kaldi) -> None:  # type: ignore[no-untyped-def]
    extractor, objectives = kaldi.initial, []
    for _ in range(5):
        statistics = ExtractorStatistics.zeros(extractor)
        for first in range(0, 240, 60):
            frames = Frames.of(kaldi.utterances[first : first + 60])
            as_they_are, normalised = kaldi.frontend(frames)
            posteriors = kaldi.ubm.scorer(normalised).posteriors(normalised, PosteriorConfig())
            extractor_training.accumulate(statistics, extractor, Frames(as_they_are, frames.lengths), posteriors)
        objectives.append(statistics.objective)
        extractor = extractor_training.update(extractor, statistics, ExtractorConfig(dim=20)).extractor
    # 0.01 a frame was asked for
    assert objectives == pytest.approx([-83.8875, -37.4924, -36.7193, -36.4560, -36.3409], abs=5e-4)
    own, other = (torch.linalg.qr(e.projections.flatten(0, 1))[0] for e in (extractor, kaldi.final))
    cosines = torch.linalg.svdvals(own.t() @ other)
    assert float(cosines.min()) > 0.99999
    assert extractor.prior_offset == pytest.approx(kaldi.final.prior_offset, rel=1e-3)
    scale = kaldi.final.precisions.abs().max()
    assert float((extractor.precisions - kaldi.final.precisions).abs().max()) < 1e-3 * scale
    # Kaldi's rotation too is found, but for signs
    assert float((extractor.projections.abs() - kaldi.final.projections.abs()).abs().max()) < 0.1


def test_ubm_from_scratch(kaldi) -> None:  # type: ignore[no-untyped-def]
    config = UbmConfig(num_gaussians=32, init_iterations=10, iterations=4, subsample=1)
    frames = Frames.of(kaldi.utterances)
    normalised = kaldi.frontend(frames)[1]
    assert UbmStatistics.of(kaldi.ubm, normalised).objective == pytest.approx(-39.0362, abs=0.01)
    generator = torch.Generator().manual_seed(0)
    ubm = ubm_training.initialise(normalised, config, generator)
    for iteration in range(1, config.init_iterations + config.iterations + 1):
        ubm, _ = ubm_training.update(UbmStatistics.of(ubm, normalised), config)
        if iteration < config.init_iterations:
            ubm = ubm_training.split(ubm, config.gaussians_after(iteration), config, generator)
    assert ubm.num_gaussians == 32
    assert UbmStatistics.of(ubm, normalised).objective > -39.0362 - 0.05


def test_pca(kaldi) -> None:  # type: ignore[no-untyped-def]
    frames = Frames.of(kaldi.utterances)
    statistics = ScatterStatistics(280)
    statistics.add(splice(frames.values, frames, 3))
    transform, offset = pca(statistics, 40)
    covariance = statistics.covariance
    for t, o in ((transform, offset), (kaldi.frontend.transform, kaldi.frontend.offset)):
        assert torch.allclose(t @ covariance @ t.t(), torch.eye(40, dtype=torch.float64), atol=0.02)
        assert float((t @ statistics.mean + o).abs().max()) < 0.02
    unit, other = (t / t.norm(dim=1, keepdim=True) for t in (transform, kaldi.frontend.transform))
    # Kaldi used every second frame: the first components, well apart, must agree
    assert float((unit[:6] * other[:6]).sum(1).abs().min()) > 0.999
