"""Every kind of features that computes on a device gives on a (fake) CUDA device what it gives on the CPU."""

import dataclasses
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Features, MonoCut, Recording, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.asr.lfmmi_system import AsrConfig, make_model
from sertools.config import from_dict, to_dict
from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.features.access import read
from sertools.features.frames.fbank import Fbank, FbankConfig
from sertools.features.frames.logmel import Logmel, LogmelConfig
from sertools.features.frames.mfcc import Mfcc, MfccConfig
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.tracks import IvectorTracksConfig
from sertools.features.ivector.training import train_ivector
from sertools.features.kind import Given
from sertools.features.kinds import KINDS
from sertools.features.learned.bottlenecks import BottleneckConfig
from sertools.features.learned.ssl import SslConfig
from sertools.features.learned.text import RecognisedTextConfig, TextConfig
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.files import write_json
from sertools.lfmmi import Topology, TopologyConfig
from sertools.manifests import load_cuts
from sertools.models.asr import AcousticModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import Checkpoint, save_checkpoint

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

pytestmark = pytest.mark.skipif(torch.__version__ < "2", reason="the fake CUDA device needs torch 2 (make test-modern)")

WIDTH = 6
MFCC = {"mfcc": {"num_ceps": WIDTH, "low_freq": 20.0}, "engine": "lhotse"}
TRUNK = TdnnfConfig(feature_dim=WIDTH, hidden_dim=12, bottleneck_dim=6, prefinal_dim=6, strides=(0, 1, 3))


def noise(seconds: float) -> np.ndarray[Any, Any]:
    return (0.1 * np.random.default_rng(0).normal(size=round(16000 * seconds))).astype(np.float32)


LAYERS: dict[str, Callable[[str], Callable[[Any], Any]]] = {
    "mfcc": lambda device: lambda wave: Mfcc(MfccConfig(engine="lhotse", device=device)).extract(wave, 16000),
    "fbank": lambda device: lambda wave: Fbank(FbankConfig(engine="lhotse", device=device)).extract(wave, 16000),
    "logmel": lambda device: Logmel(LogmelConfig(), device),
}


@pytest.mark.parametrize("name", LAYERS)
def test_spectra(cuda: "FakeCuda", name: str) -> None:
    """Samples on the device to features on the device, as networks that take audio have them."""
    samples = torch.from_numpy(noise(0.4))
    expected = LAYERS[name]("cpu")(samples)
    with cuda:
        found = LAYERS[name]("cuda:0")(samples.to("cuda:0"))
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), expected, atol=1e-4, rtol=1e-4)


def spoken(folder: Path) -> Path:
    """Three utterances of a third of a second of audio, with words."""
    made = []
    for number, text in enumerate(("the dogs run", "fast", "run")):
        soundfile.write(folder / f"u{number}.wav", noise(0.3 + 0.1 * number), 16000, subtype="FLOAT")
        cut = Recording.from_file(folder / f"u{number}.wav").to_cut().with_id(f"u{number}")
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0.0, cut.duration, text=text, speaker="s")]
        made.append(cut)
    CutSet.from_cuts(made).to_file(folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


def with_features(folder: Path) -> Path:
    """Utterances of frames of noise by two speakers, and the stamp of what made them."""
    generator, made = np.random.default_rng(0), []
    with LilcomChunkyWriter(folder / "features.lca", tick_power=-8) as writer:
        for number, frames in enumerate((150, 40, 77, 151)):
            name, duration = f"u{number}", frames / 100
            values = generator.normal(number % 2, 1, (frames, WIDTH)).astype(np.float32)
            features = Features("noise", frames, WIDTH, 0.01, 16000, 0.0, duration, writer.name, writer.storage_path,
                                writer.write(name, values), name, 0)  # fmt: skip
            told = [SupervisionSegment(name, name, 0.0, duration, speaker=f"s{number % 2}")]
            made.append(MonoCut(name, 0.0, duration, 0, told, features))
    CutSet.from_cuts(made).to_file(folder / "cuts.jsonl.gz")
    write_json(folder / "stamp.json", {"config": {"features": MFCC}, "inputs": {}, "outputs": {}})
    return folder / "cuts.jsonl.gz"


def _bottleneck(folder: Path) -> tuple[Path, Any, dict[str, Path]]:
    system = AsrConfig(model=AcousticModelConfig(dataclasses.replace(TRUNK), 12, 6))
    model = make_model(system, Topology(TopologyConfig(), 3).num_pdfs)
    values = {"phones": ["a", "b", "c"], "silence": 1, "topology": to_dict(TopologyConfig())}
    save_checkpoint(folder / "model", Checkpoint(model.state_dict(), to_dict(system),
                                                 values | {"features": {"features": MFCC}}))  # fmt: skip
    return with_features(folder), BottleneckConfig(TRUNK.layer_names, 300), {"pretrained": folder / "model"}


def _ivector(folder: Path) -> tuple[Path, Any, dict[str, Path]]:
    config = from_dict(IvectorConfig, {
        "transform": {"dim": 5, "context": 1},
        "ubm": {"num_gaussians": 4, "init_iterations": 2, "iterations": 1},
        "extractor": {"dim": 3, "iterations": 1, "gaussian_min_count": 2.0},
    })  # fmt: skip
    cuts = with_features(folder)
    return cuts, IvectorTracksConfig(), {"extractor": train_ivector(config, cuts, folder / "extractor")}


def _ssl(folder: Path) -> tuple[Path, Any, dict[str, Path]]:
    (folder / "first").mkdir()
    layers = {"encoder": [[6, 10, 5], [6, 8, 4], [6, 16, 8]], "aggregator": [[6, 2, 1], [6, 3, 1]]}
    (folder / "first/config.json").write_text(json.dumps({"model_type": "wav2vec"} | layers))
    return spoken(folder), SslConfig(random_seed=3), {"backbone": folder / "first"}


def _text(folder: Path) -> tuple[Path, Any, dict[str, Path]]:
    from tiny_models import tiny_bert

    tiny_bert(folder / "bert")
    return spoken(folder), TextConfig(), {"backbone": folder / "bert"}


def _recognised(folder: Path) -> tuple[Path, Any, dict[str, Path]]:
    cuts, _, inputs = _text(folder)
    write_transcripts([Transcript(f"u{n}", "s", ("a",), ("dog", "run")) for n in range(3)], folder / "heard.csv")
    return cuts, RecognisedTextConfig((3,)), inputs | {"transcripts": folder / "heard.csv"}


STORED: dict[str, Callable[[Path], tuple[Path, Any, dict[str, Path]]]] = {
    "bottleneck": _bottleneck, "ivector": _ivector, "ssl": _ssl, "text": _text, "recognised_text": _recognised,
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.transformers) if "text" in n else n for n in STORED]
)
def test_stored(cuda: "FakeCuda", tmp_path: Path, name: str) -> None:
    cuts, options, inputs = STORED[name](tmp_path)
    config, found = FeaturesConfig(options), []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        out, given = tmp_path / device.partition(":")[0], Given(inputs, device)
        with place:
            assert compute_features(cuts, out, config, given)[0] > 0
            collect_features(cuts, out, config, given)
        found.append(load_cuts(out / "cuts.jsonl.gz"))
    arrays = [array for array in next(iter(found[0])).custom if array == name or array.startswith(f"{name}_")]
    assert arrays
    for one, other in zip(*found, strict=True):
        for array in arrays:
            torch.testing.assert_close(read(one, array), read(other, array), atol=5e-3, rtol=1e-3)


def test_no_kind_is_left_out() -> None:
    """A new kind that computes on a device has a place above."""
    assert {name for name, kind in KINDS.items() if kind.uses_device} == set(STORED)
    assert set(LAYERS) <= set(KINDS)
