"""Bottleneck features: the network's own values whatever the batches, every row, jobs, staleness, refusals."""

import copy
import dataclasses
import logging
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter
from quick_programs import Program

from sertools.asr.apply import load_acoustic_model
from sertools.asr.lfmmi_system import AsrConfig, make_model
from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.access import read as read_features
from sertools.features.kind import Given
from sertools.features.learned.bottlenecks import BottleneckConfig, plan_padded
from sertools.features.origin import check_origin
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.store import StoreConfig
from sertools.files import write_json
from sertools.lfmmi import Topology, TopologyConfig
from sertools.models.asr import AcousticModelConfig
from sertools.models.tdnnf import FrameNorm, TdnnfConfig
from sertools.training.checkpoint import Checkpoint, save_checkpoint

TRUNK = TdnnfConfig(
    feature_dim=6, ivector_dim=3, hidden_dim=24, bottleneck_dim=12, prefinal_dim=10, strides=(0, 1, 0, 3)
)
SYSTEM = AsrConfig(model=AcousticModelConfig(TRUNK, 24, 12), precision="bfloat16")
LENGTHS = (1, 2, 3, 4, 5, 50, 7, 149, 150, 151, 10, 11, 305, 48, 49, 1)
ALL = FeaturesConfig(BottleneckConfig(TRUNK.layer_names, 600), StoreConfig(block_minutes=0.04, tick_power=-8))
TICK = 2.0**-8
MFCC = {"mfcc": {"num_ceps": 6, "low_freq": 20.0, "engine": "auto", "device": "cpu"}, "engine": "lhotse"}
RECORD = {"features": MFCC, "ivector": {"model": "a" * 64}}


def changed(**options: Any) -> FeaturesConfig:
    return dataclasses.replace(ALL, options=dataclasses.replace(ALL.options, **options))


def extract_bottlenecks(
    cuts: Path, model: Path, out: Path, config: FeaturesConfig, *, job: int = 1, num_jobs: int = 1, **options: Any
) -> tuple[int, int, str | None]:
    """Blocks made and kept, and, of one job, why the manifest was written."""
    given = Given({"pretrained": model})
    made, kept = compute_features(cuts, out, config, given, job=job, num_jobs=num_jobs, **options)
    return made, kept, collect_features(cuts, out, config, given) if num_jobs == 1 else None


def load_bottleneck(cut: Any, layer: str) -> torch.Tensor:
    return read_features(cut, f"bottleneck_{layer}")


def save_model(directory: Path, seed: int = 0, info: dict[str, Any] | None = None) -> Path:
    """A checkpoint of random weights, with norms that do something."""
    torch.manual_seed(seed)
    topology = TopologyConfig()
    model = make_model(SYSTEM, Topology(topology, 3).num_pdfs)
    for module in model.modules():
        if isinstance(module, FrameNorm):
            module.running_mean.uniform_(0.2, 0.8)
            module.running_var.uniform_(0.2, 0.8)
    values = {"phones": ["a", "b", "c"], "silence": 1, "topology": to_dict(topology), "features": RECORD}
    save_checkpoint(directory, Checkpoint(model.state_dict(), to_dict(SYSTEM), values | (info or {})))
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "checkpoint")


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Utterances of LENGTHS frames of noise with i-vectors, and the stamp of what made them."""
    directory = tmp_path_factory.mktemp("cuts")
    generator = np.random.default_rng(0)
    made = []
    with LilcomChunkyWriter(directory / "features.lca", tick_power=-8) as features:
        with LilcomChunkyWriter(directory / "ivectors.lca", tick_power=-8) as ivectors:
            for number, frames in enumerate(LENGTHS):
                name, duration = f"u{number:02d}", frames / 100
                values = generator.normal(0, 1, (frames, 6)).astype(np.float32)
                cut = MonoCut(
                    name, 0.0, duration, 0, [SupervisionSegment(name, name, 0.0, duration, speaker="s")],
                    Features("noise", frames, 6, 0.01, 16000, 0.0, duration, features.name, features.storage_path,
                             features.write(name, values), name, 0),
                )  # fmt: skip
                rows = generator.normal(0, 1, (-(-frames // 10), 3)).astype(np.float32)
                cut.ivector = ivectors.store_array(name, rows, frame_shift=0.1, temporal_dim=0, start=0.0)
                made.append(cut)
    CutSet.from_cuts(made).to_file(directory / "cuts.jsonl.gz")
    write_json(directory / "stamp.json", {"config": RECORD, "inputs": {}, "outputs": {}})
    return directory / "cuts.jsonl.gz"


def read(directory: Path, layers: tuple[str, ...] = ALL.options.layers) -> dict[tuple[str, str], torch.Tensor]:
    found = CutSet.from_file(directory / "cuts.jsonl.gz").to_eager()
    return {(cut.id, layer): load_bottleneck(cut, layer) for cut in found for layer in layers}


def test_equal_the_network_one_utterance_at_a_time(cuts: Path, model: Path, tmp_path: Path) -> None:
    made, kept, reason = extract_bottlenecks(cuts, model, tmp_path / "out", ALL)
    assert made >= 2
    assert kept == 0
    assert reason is not None
    found = read(tmp_path / "out")
    trunk = load_acoustic_model(model).model.trunk
    trunk.activation_dtype = torch.float32
    source = list(CutSet.from_file(cuts))
    assert [cut.id for cut in CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz")] == [cut.id for cut in source]
    for cut in source:
        features = torch.from_numpy(cut.load_features())[None]
        last = torch.from_numpy(cut.ivector.load())[-1:]
        with torch.no_grad():
            expected = trunk(features, torch.tensor([cut.num_frames]), ALL.options.layers, last)
        for layer in ALL.options.layers:
            values = found[cut.id, layer]
            assert values.dtype == torch.float32
            assert values.shape == (-(-cut.num_frames // 3), 10 if layer == "prefinal" else 24)
            assert float((values - expected[layer][0]).abs().max()) <= 0.51 * TICK
            assert float(values.abs().max()) > 20 * TICK


def test_every_row_is_there_and_lhotse_reads_them_too(cuts: Path, model: Path, tmp_path: Path) -> None:
    extract_bottlenecks(cuts, model, tmp_path / "out", ALL)
    rounded_away = 0
    for cut in CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz"):
        track = load_bottleneck(cut, "tdnnf4")
        assert len(track) == -(-cut.num_frames // 3)
        plain = torch.from_numpy(cut.load_bottleneck_tdnnf4())
        assert len(track) - len(plain) in (0, 1)
        # of a single frame lhotse reads no row at all, of no width
        assert len(plain) == 0 or torch.equal(plain, track[: len(plain)])
        rounded_away += len(track) - len(plain)
        assert cut.bottleneck_tdnnf4.frame_shift == pytest.approx(0.03)
        assert cut.load_features().shape == (cut.num_frames, 6)
        if cut.num_frames >= 48:
            part = cut.truncate(offset=0.12, duration=0.31)
            assert torch.equal(load_bottleneck(part, "tdnnf4"), track[4:15])
    assert rounded_away > 0


def test_batches_change_nothing(cuts: Path, model: Path, tmp_path: Path) -> None:
    extract_bottlenecks(cuts, model, tmp_path / "alone", changed(batch_frames=1))
    whole = dataclasses.replace(changed(batch_frames=10**6), store=StoreConfig(block_minutes=10, tick_power=-8))
    extract_bottlenecks(cuts, model, tmp_path / "together", whole)
    alone, together = read(tmp_path / "alone"), read(tmp_path / "together")
    # float rounding may tip a value over to the next tick
    assert max(float((alone[key] - together[key]).abs().max()) for key in alone) <= 1.01 * TICK
    assert np.mean([float((alone[key] != together[key]).float().mean()) for key in alone]) < 0.01


def test_batches_have_little_padding() -> None:
    frames = [int(n) for n in np.random.default_rng(0).integers(1, 3000, 200)]
    plan = plan_padded(frames, 4000)
    assert sorted(index for batch in plan for index in batch) == list(range(200))
    sizes = [(len(batch) * max(frames[i] for i in batch), sum(frames[i] for i in batch)) for batch in plan]
    assert all(padded <= 4000 and own >= 0.9 * padded for padded, own in sizes)
    assert any(len(batch) > 3 for batch in plan)
    assert plan_padded([5, 5, 9000], 4000) == [[0, 1], [2]]


def test_killed_between_blocks_it_goes_on(cuts: Path, model: Path, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_bottlenecks(cuts, model, tmp_path / "out", ALL, progress=kill)
    assert not (tmp_path / "out" / "cuts.jsonl.gz").exists()
    made, kept, _ = extract_bottlenecks(cuts, model, tmp_path / "out", ALL)
    assert kept == 1
    assert made >= 1
    extract_bottlenecks(cuts, model, tmp_path / "whole", ALL)
    one, two = read(tmp_path / "out"), read(tmp_path / "whole")
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert extract_bottlenecks(cuts, model, tmp_path / "out", ALL)[1:] == (made + kept, None)


def test_several_jobs_then_one_call_collects(cuts: Path, model: Path, tmp_path: Path) -> None:
    made = [extract_bottlenecks(cuts, model, tmp_path / "out", ALL, job=j, num_jobs=2) for j in (1, 2)]
    assert all(count > 0 and reason is None for count, _, reason in made)
    assert not (tmp_path / "out" / "cuts.jsonl.gz").exists()
    assert extract_bottlenecks(cuts, model, tmp_path / "out", ALL)[:2] == (0, made[0][0] + made[1][0])


def test_what_changed_is_made_again(cuts: Path, model: Path, tmp_path: Path) -> None:
    made, _, _ = extract_bottlenecks(cuts, model, tmp_path / "out", ALL)
    first = read(tmp_path / "out")
    other = save_model(tmp_path / "other", seed=1)
    assert extract_bottlenecks(cuts, other, tmp_path / "out", ALL)[:2] == (made, 0)
    assert not torch.equal(read(tmp_path / "out")["u07", "tdnnf4"], first["u07", "tdnnf4"])
    few = changed(layers=("prefinal", "tdnnf3"))
    assert extract_bottlenecks(cuts, other, tmp_path / "out", few)[:2] == (made, 0)
    # neither the order of names nor the size of batches changes a value
    same = changed(layers=("tdnnf3", "prefinal"), batch_frames=50)
    assert extract_bottlenecks(cuts, other, tmp_path / "out", same)[:2] == (0, made)
    cut = next(iter(CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz")))
    others = "features, bottleneck_prefinal, bottleneck_tdnnf3, ivector"
    with pytest.raises(UserError, match=rf"no bottleneck_tdnnf4 \(it has {others}\); .* block bottleneck:"):
        load_bottleneck(cut, "tdnnf4")


def test_layers_that_are_not_there(cuts: Path, model: Path, tmp_path: Path) -> None:
    unknown = changed(layers=("tdnnf3", "tdnnf9"))
    with pytest.raises(UserError, match=r"has no layer tdnnf9; it has tdnn1, tdnnf2, tdnnf3, tdnnf4, prefinal"):
        extract_bottlenecks(cuts, model, tmp_path / "out", unknown)
    for layers in ((), ("prefinal", "prefinal")):
        with pytest.raises(ValueError, match="each once"):
            BottleneckConfig(layers)


def test_cuts_that_do_not_fit_the_network(cuts: Path, model: Path, tmp_path: Path) -> None:
    def refused(change: Any, match: str) -> None:
        changed = CutSet.from_file(cuts).to_eager()
        last = list(changed)[-1]
        change(last)
        changed.to_file(tmp_path / "changed.jsonl.gz")
        with pytest.raises(UserError, match=match):
            extract_bottlenecks(tmp_path / "changed.jsonl.gz", model, tmp_path / "out", ALL)

    refused(lambda cut: setattr(cut, "features", None), "u15 has no features")
    refused(lambda cut: cut.custom.pop("ivector"), "u15 has no i-vectors")
    refused(lambda cut: setattr(cut.features, "num_features", 7), "u15 has features of dimension 7, .* takes 6")
    refused(lambda cut: setattr(cut.ivector, "frame_shift", 0.05), "an i-vector every 0.05 s")
    refused(lambda cut: cut.ivector.array.shape.__setitem__(1, 4), "u15 has i-vectors of dimension 4, .* takes 3")
    refused(lambda cut: setattr(cut.features, "storage_path", "gone.lca"), "gone.lca .* is gone")


def test_features_and_ivectors_of_other_settings(
    cuts: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record: dict[str, Any] = copy.deepcopy(RECORD)
    record["features"]["mfcc"]["low_freq"] = 40.0
    other = save_model(tmp_path / "mfcc", info={"features": record})
    with pytest.raises(UserError, match=r"mfcc features with low_freq 20.0, but .* was trained on low_freq 40.0"):
        extract_bottlenecks(cuts, other, tmp_path / "out", ALL)
    other = save_model(tmp_path / "ivector", info={"features": RECORD | {"ivector": {"model": "b" * 64}}})
    with pytest.raises(UserError, match=r"ivector features of another model \(aaaaaaaaaaaa\) than .* \(bbbbbbbbbbbb\)"):
        extract_bottlenecks(cuts, other, tmp_path / "out", ALL)
    # where MFCC are computed is no difference, nor what other stages lie between
    elsewhere = {"mfcc": MFCC["mfcc"] | {"engine": "kaldifeat", "device": "cuda"}}  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        check_origin(RECORD, {"features": RECORD}, "CUTS", "MODEL")
        check_origin(elsewhere, RECORD, "CUTS", "MODEL")
    assert not caplog.messages
    for trained, found, unknown in ((RECORD, None, "CUTS"), (None, RECORD, "MODEL")):
        check_origin(trained, found, "CUTS", "MODEL")
        assert caplog.messages[-1].startswith(f"what features {unknown} has is not recorded")


def test_other_features_than_those_learnt_from(caplog: pytest.LogCaptureFixture) -> None:
    fbank, both = {"fbank": {"num_mel_bins": 40}}, {"functionals": {"set": "eGeMAPSv02"}, "features": MFCC}
    for trained, found, message in (
        (MFCC, fbank, "CUTS has fbank features, but MODEL was trained on mfcc"),
        (both, MFCC, "CUTS has mfcc features, but MODEL was trained on functionals"),
        (both, both | {"functionals": {"set": "eGeMAPSv01a"}}, "functionals features with set eGeMAPSv01a, but"),
    ):
        with pytest.raises(UserError, match=message):
            check_origin(trained, found, "CUTS", "MODEL")
    # more may be there; and settings of other stages are no features
    check_origin(MFCC, both, "CUTS", "MODEL")
    check_origin(MFCC | {"table": {"label": "emotion"}}, MFCC, "CUTS", "MODEL")
    assert not caplog.messages


def test_other_folders(cuts: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"local/train_asr.py"):
        extract_bottlenecks(cuts, tmp_path / "nowhere", tmp_path / "out", ALL)
    save_checkpoint(tmp_path / "net", Checkpoint({"weight": torch.zeros(2)}, {}, {}))
    with pytest.raises(UserError, match="holds no acoustic model"):
        extract_bottlenecks(cuts, tmp_path / "net", tmp_path / "out", ALL)


def test_activations_that_are_not_finite(cuts: Path, tmp_path: Path) -> None:
    broken = save_model(tmp_path / "broken")
    loaded = load_acoustic_model(broken)
    weights = loaded.model.state_dict()
    weights["trunk.layers.2.affine.bias"].fill_(3e38)  # finite, and too large for what follows
    save_checkpoint(broken, Checkpoint(weights, to_dict(SYSTEM), loaded.info))
    with pytest.raises(UserError, match=r"bottleneck_tdnnf4 is not finite"):
        extract_bottlenecks(cuts, broken, tmp_path / "out", ALL)


def test_programs(program: Program, cuts: Path, model: Path, tmp_path: Path) -> None:
    def run(which: str, layers: str, *more: str) -> subprocess.CompletedProcess[str]:
        options = (*more, "--set", f"bottleneck.layers={layers}", "--input", f"pretrained={model}")
        return program(f"{which}_features.py", *options, cuts, tmp_path / "out")

    assert "h of audio in 1 of 1 blocks" in run("compute", "[tdnnf3, prefinal]", "--device", "cpu").stdout
    assert f"wrote {tmp_path / 'out' / 'cuts.jsonl.gz'}" in run("collect", "[tdnnf3, prefinal]").stdout
    assert read(tmp_path / "out", ("tdnnf3", "prefinal"))["u00", "tdnnf3"].shape == (1, 24)
    wrong = run("compute", "[tdnnf12]")
    assert wrong.returncode == 1
    assert "has no layer tdnnf12; it has tdnn1" in wrong.stderr
    assert "Traceback" not in wrong.stderr
