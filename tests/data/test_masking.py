"""Masks of time and frequency: how they are drawn, what they hide, and bands of real cepstra."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import dct
from scipy.stats import chisquare

from sertools.data.masking import LIFTER, Hidden, SpecAugment, SpecMasks, cosines, spans
from sertools.errors import UserError
from sertools.features.frames.fbank import Fbank, FbankConfig
from sertools.features.frames.mfcc import Mfcc, MfccConfig


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_widths_and_beginnings_are_equally_likely() -> None:
    count, size, widest = 12000, 9, 4
    found = spans(torch.full((count,), size), torch.full((count,), widest), 1, generator())
    widths = found.sum(1)
    assert chisquare(np.bincount(widths, minlength=widest + 1)).pvalue > 0.01
    # each is one stretch, anywhere it fits
    starts: dict[int, Counter[int]] = {width: Counter() for width in range(1, widest + 1)}
    for row, width in zip(found, widths.tolist(), strict=True):
        if width:
            begin = int(row.int().argmax())
            assert bool(row[begin : begin + width].all())
            starts[width][begin] += 1
    for width, counts in starts.items():
        assert sorted(counts) == list(range(size - width + 1))
        assert chisquare(list(counts.values())).pvalue > 0.001


def test_a_stretch_lies_inside_its_utterance() -> None:
    sizes = torch.tensor([3, 40, 1] * 300)
    found = spans(sizes, torch.full_like(sizes, 10), 2, generator())
    assert found.shape == (900, 40)
    assert not bool((found & (torch.arange(40) >= sizes[:, None])).any())
    assert int(found.sum(1).max()) > 10  # two of them
    masks = SpecMasks(SpecAugment(2, 20, 0.2, 0, columns="bands"), torch.zeros(6))
    hidden = masks.draw(torch.tensor([50, 9] * 200), generator())
    assert int(hidden.time[::2].sum(1).max()) > 10  # of 50 frames at most 10 by one
    assert int(hidden.time[1::2].sum(1).max()) == 2  # of 9 frames at most 1 by one
    assert not bool(hidden.bands.any())


def test_what_is_hidden_is_the_mean_and_the_rest_is_as_it_was() -> None:
    x, lengths, mean = torch.randn(2, 8, 5, generator=generator()), torch.tensor([8, 6]), torch.arange(5.0)
    time = torch.zeros(2, 8, dtype=torch.bool)
    time[0, 2:4] = time[1, 5] = True
    bands = torch.tensor([[False] * 5, [False, True, True, False, False]])
    masks = SpecMasks(SpecAugment(columns="bands", frequency_width=3), mean)
    found = masks.hide(x, lengths, Hidden(time, bands))
    assert torch.allclose(found[0, 2:4], mean.expand(2, 5))
    assert torch.allclose(found[1, 5], mean)
    assert torch.allclose(found[1, :6, 1:3], mean[1:3].expand(6, 2))
    assert torch.equal(found[1, 6:], x[1, 6:])  # behind its length
    kept = ~(time[:, :, None] | bands[:, None])
    assert torch.allclose(found[kept], x[kept], atol=1e-6)


def test_no_masks_change_nothing() -> None:
    x, lengths = torch.randn(3, 30, 6, generator=generator()), torch.tensor([30, 20, 10])
    masks = SpecMasks(SpecAugment(time_masks=0, frequency_masks=0), torch.randn(6))
    assert torch.allclose(masks.hide(x, lengths, masks.draw(lengths, generator())), x, atol=1e-6)


@pytest.mark.parametrize("engine", ["lhotse", "auto"])
def test_bands_of_cepstra_are_those_of_filter_banks(engine: Any) -> None:
    """Against features of both kinds of the same sound, and SciPy's cosine transform."""
    sound = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    edges = {"num_mel_bins": 40, "low_freq": 20.0, "high_freq": -400.0, "engine": engine}
    mfcc = torch.from_numpy(Mfcc(MfccConfig(**edges)).extract(sound, 16000))
    bands = torch.from_numpy(Fbank(FbankConfig(**edges)).extract(sound, 16000))
    to_bands, to_cepstra = cosines(40)
    assert torch.allclose(mfcc @ to_bands, bands, atol=2e-3)
    assert torch.allclose(to_bands @ to_cepstra, torch.eye(40), atol=1e-5)
    hidden = torch.zeros(1, 40, dtype=torch.bool)
    hidden[0, 10:17] = True
    masks = SpecMasks(SpecAugment(), mfcc.mean(0))
    found = masks.hide(mfcc[None], torch.tensor([len(mfcc)]), Hidden(torch.zeros(1, len(mfcc)).bool(), hidden))[0]
    masked = bands.clone()
    masked[:, 10:17] = bands.mean(0)[10:17]
    lifter = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(40) / LIFTER)
    assert np.allclose(found, dct(masked.numpy(), axis=1, norm="ortho") * lifter, atol=2e-2)


def test_settings() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        SpecAugment(time_masks=-1)
    with pytest.raises(ValueError, match="time_part must be above 0 and at most 1"):
        SpecAugment(time_part=0.0)
    with pytest.raises(UserError, match="a mask of 6 can hide all 6 bands"):
        SpecMasks(SpecAugment(frequency_width=6), torch.zeros(6))


def test_columns_are_what_the_features_are() -> None:
    mfcc: dict[str, Any] = {"num_ceps": 40, "num_mel_bins": 40, "cepstral_lifter": 22.0, "use_energy": False}
    SpecAugment().check({"mfcc": mfcc}, "cuts")
    SpecAugment().check({}, "cuts")  # nothing is known of features of others
    SpecAugment(columns="bands").check({"fbank": {}}, "cuts")
    SpecAugment(frequency_masks=0, columns="bands").check({"mfcc": mfcc}, "cuts")
    with pytest.raises(UserError, match=r"cuts: spec_augment\.columns: bands, and these features are cepstra"):
        SpecAugment(columns="bands").check({"mfcc": mfcc}, "cuts")
    with pytest.raises(UserError, match="columns: cepstra, and these features are bands"):
        SpecAugment().check({"fbank": {}}, "cuts")
    for other in ({"num_ceps": 13}, {"cepstral_lifter": 0.0}, {"use_energy": True}):
        with pytest.raises(UserError, match="as many cepstra as filters"):
            SpecAugment().check({"mfcc": mfcc | other}, "cuts")
