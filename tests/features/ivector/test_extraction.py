"""Extraction against a slow, obvious version; states; hard inputs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sertools.features.ivector.extraction import ExtractionConfig, SpeakerState, extract
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.model import IvectorModel

Speaker = Callable[..., list[Tensor]]


def slow_online(model: IvectorModel, utterances: list[Tensor], c: ExtractionConfig) -> list[np.ndarray]:
    """Frame by frame, float64, as the description of ivector-extract-online2 reads."""
    m, s = model.extractor.projections.numpy(), model.extractor.precisions.numpy()
    p, e = model.extractor.prior_offset, model.dim
    quadratic, linear, count = np.zeros((e, e)), np.zeros(e), 0.0
    frame_sum, frame_count = torch.zeros(1, model.frontend.feature_dim, dtype=torch.float64), 0.0
    results = []
    for utterance in utterances:
        frames = Frames.of([utterance])
        raw, normalised = model.frontend(frames, frame_sum, torch.tensor([frame_count], dtype=torch.float64))
        post = model.ubm.scorer(normalised).posteriors(normalised, model.posteriors)
        rows = []
        for t in range(len(utterance)):
            for i, v in zip(
                post.gaussians[post.frames == t].tolist(), post.values[post.frames == t].tolist(), strict=True
            ):
                quadratic += v * m[i].T @ s[i] @ m[i]
                linear += v * m[i].T @ s[i] @ raw[t].double().numpy()
                count += v
            if t % c.period == 0:
                prior = max(count, c.max_count) / c.max_count if c.max_count else 1.0
                x = np.linalg.solve(quadratic + prior * np.eye(e), linear + prior * p * np.eye(e)[0])
                rows.append(x - p * np.eye(e)[0])
                if t + c.period >= len(utterance):
                    break
        results.append(np.array(rows))
        frame_sum, frame_count = frame_sum + utterance.double().sum(0), frame_count + len(utterance)
        keep = min(1.0, c.max_remembered_frames / frame_count)
        frame_sum, frame_count = frame_sum * keep, frame_count * keep
        by = min(1.0, c.max_remembered_frames * model.posteriors.scale / count)
        quadratic, linear, count = quadratic * by, linear * by, count * by
    return results


@pytest.mark.parametrize(
    "config",
    [
        ExtractionConfig(),
        ExtractionConfig(period=7, max_remembered_frames=50),
        ExtractionConfig(max_count=2.0, max_remembered_frames=80),
        ExtractionConfig(period=1, max_remembered_frames=0),
    ],
)
def test_online(model: IvectorModel, speaker_of: Speaker, config: ExtractionConfig) -> None:
    # 700 frames are more than one block of estimates
    utterances = speaker_of(30, 1, 10, 11, 700, 64)
    found, _ = extract(model, utterances, config)
    for ivectors, expected, utterance in zip(found, slow_online(model, utterances, config), utterances, strict=True):
        assert len(ivectors) == -(-len(utterance) // config.period)
        assert np.abs(ivectors.numpy() - expected).max() < 2e-4


@pytest.mark.parametrize("mode", ["online", "speaker"])
def test_a_state_split_over_two_calls_equals_one_call(model: IvectorModel, speaker_of: Speaker, mode) -> None:  # type: ignore[no-untyped-def]
    utterances = speaker_of(30, 120, 55, 31)
    config = ExtractionConfig(mode=mode, max_remembered_frames=100)
    whole, end = extract(model, utterances, config)
    first, state = extract(model, utterances[:2], config)
    second, other_end = extract(model, utterances[2:], config, state)
    if mode == "online":
        for a, b in zip(whole, first + second, strict=True):
            assert torch.allclose(a, b, atol=1e-5)
    else:
        assert torch.allclose(whole[0][0], second[0][0], atol=1e-5)
    assert end.count == pytest.approx(other_end.count)
    assert torch.allclose(end.frame_sum, other_end.frame_sum)


def test_offline(model: IvectorModel, speaker_of: Speaker) -> None:
    utterances = speaker_of(35, 80)
    alone = [extract(model, [u], ExtractionConfig(mode="speaker"))[0][0] for u in utterances]
    each, _ = extract(model, utterances, ExtractionConfig(mode="utterance"))
    for a, b, utterance in zip(alone, each, utterances, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
        assert b.shape == (-(-len(utterance) // 10), 3)
        assert torch.equal(b[0], b[-1])
    together, _ = extract(model, utterances, ExtractionConfig(mode="speaker"))
    assert torch.equal(together[0][0], together[1][0])
    assert not torch.allclose(together[0][0], each[0][0], atol=1e-3)


def test_offline_equals_online_at_its_last_frame(model: IvectorModel, speaker_of: Speaker) -> None:
    (utterance,) = speaker_of(41)
    online, _ = extract(model, [utterance], ExtractionConfig())
    offline, _ = extract(model, [utterance], ExtractionConfig(mode="utterance"))
    assert torch.allclose(online[0][-1], offline[0][0], atol=1e-5)


def test_only_past_frames_are_seen(model: IvectorModel, speaker_of: Speaker) -> None:
    (utterance,) = speaker_of(100)
    changed = utterance.clone()
    changed[60:] += 5.0
    a, b = (extract(model, [u], ExtractionConfig())[0][0] for u in (utterance, changed))
    # splicing looks one frame ahead: row 5 (frame 50) is the last that cannot know
    assert torch.equal(a[:6], b[:6])
    assert not torch.allclose(a[7:], b[7:], atol=1e-3)


def test_memory_is_limited(model: IvectorModel, speaker_of: Speaker) -> None:
    _, state = extract(model, speaker_of(400, 300), ExtractionConfig(max_remembered_frames=200))
    assert state.count == pytest.approx(200 * 0.1)
    assert state.frame_count == pytest.approx(200)


def test_silence_and_short_speakers(model: IvectorModel) -> None:
    for length in (1, 30):
        found, _ = extract(model, [torch.zeros(length, 5)], ExtractionConfig())
        assert torch.isfinite(found[0]).all()
    far, _ = extract(model, [torch.full((30, 5), 1e4)], ExtractionConfig())
    assert torch.isfinite(far[0]).all()


def test_no_frames_means_the_prior(model: IvectorModel) -> None:
    """Of a speaker not heard yet the i-vector is that of the prior: 0 once the offset is subtracted."""
    state = SpeakerState.new(model)
    assert state.count == 0
    tiny = state.limited(0.0, 0.1)
    assert torch.equal(tiny.quadratic, state.quadratic)


def test_bad_input(model: IvectorModel, speaker_of: Speaker) -> None:
    (utterance,) = speaker_of(20)
    utterance[3, 2] = float("nan")
    with pytest.raises(ArithmeticError, match="not finite"):
        extract(model, [utterance], ExtractionConfig())
    with pytest.raises(ValueError, match=r"\(0, 5\).*takes \(frames, 5\)"):
        extract(model, [torch.zeros(0, 5)], ExtractionConfig())
    with pytest.raises(ValueError, match=r"\(9, 4\)"):
        extract(model, [torch.zeros(9, 4)], ExtractionConfig())
    with pytest.raises(ValueError, match="period"):
        ExtractionConfig(period=0)


@pytest.mark.gpu
def test_on_a_gpu(model: IvectorModel, speaker_of: Speaker) -> None:
    utterances = speaker_of(30, 300)
    cpu, _ = extract(model, utterances, ExtractionConfig())
    gpu, _ = extract(model, utterances, ExtractionConfig(), device="cuda")
    for a, b in zip(cpu, gpu, strict=True):
        assert torch.allclose(a, b, atol=1e-3)
