"""A kind of features added as a file, a line and a configuration: computed, collected, read back, joined, refused."""

import logging
import runpy
import shutil
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet, MonoCut
from lhotse.array import Array, TemporalArray
from toy_kind import LOUDNESS, LoudnessConfig, loudness

from sertools.errors import UserError
from sertools.features import access, store
from sertools.features.arrays import ArraysReader, parse_key
from sertools.features.audio import load_samples
from sertools.features.kind import Given
from sertools.features.kinds import KINDS, kind_of
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features, features_config
from sertools.features.store import StoreConfig
from sertools.manifests import load_cuts
from sertools.provenance import made_with

SMALL = StoreConfig(block_minutes=0.05)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, LOUDNESS.name, LOUDNESS)  # the line in kinds.py


@pytest.fixture
def gain(tmp_path: Path) -> Path:
    (tmp_path / "gain").write_text("3.0")
    return tmp_path / "gain"


def make(cuts: Path, out: Path, gain: Path, **options: Any) -> Path:
    config, given = FeaturesConfig(LoudnessConfig(**options), SMALL), Given({"gain": gain})
    compute_features(cuts, out, config, given)
    collect_features(cuts, out, config, given)
    return out / "cuts.jsonl.gz"


def test_programs(root: Path, noise_cuts: Path, tmp_path: Path, gain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loudness.yaml").write_text("loudness: {rows: utterance}\nstore: {block_minutes: 0.05}\n")
    monkeypatch.syspath_prepend(str(root / "local"))
    arguments = ["--config", str(tmp_path / "loudness.yaml"), "--input", f"gain={gain}"]
    places = [str(noise_cuts), str(tmp_path / "out")]
    for program, more in (("compute", ["--job=1", "--num-jobs=2"]), ("compute", ["--job=2", "--num-jobs=2"]),
                          ("collect", [])):  # fmt: skip
        monkeypatch.setattr(sys, "argv", [program, *arguments, *more, *places])
        runpy.run_path(str(root / f"local/{program}_features.py"))["main"]()
    cuts = load_cuts(tmp_path / "out" / "cuts.jsonl.gz")
    assert [cut.id for cut in cuts] == [f"utt{n:02d}" for n in range(12)]
    for cut in cuts:
        expected = 3 * loudness(load_samples(cut, 16000))
        # exact, by our reader and by lhotse's
        assert np.array_equal(access.read(cut, "loudness").numpy(), expected)
        assert np.array_equal(cut.load_loudness(), expected)
    assert made_with(tmp_path / "out" / "cuts.jsonl.gz")["loudness"]["gain"] == 3.0


def test_layers_and_parts(noise_cuts: Path, tmp_path: Path, gain: Path) -> None:
    for cut in load_cuts(make(noise_cuts, tmp_path / "out", gain, rows="layers")):
        whole = access.read(cut, "loudness")
        assert whole.shape == (3, round(cut.duration * 100), 2)
        expected = 3 * loudness(load_samples(cut, 16000).reshape(-1, 160))
        assert np.abs(whole[1].numpy() - 2 * expected).max() <= 2 * 2**-11 * expected.max()
        assert torch.equal(access.read(cut, "loudness", layer=2), whole[2])
        part = cut.truncate(offset=0.12, duration=0.255)
        assert torch.equal(access.read(part, "loudness"), whole[:, 12:38])
        assert torch.equal(access.read(part, "loudness", layer=0), whole[0, 12:38])
        assert np.array_equal(cut.load_loudness(), whole.numpy())
    with pytest.raises(UserError, match="has 3 layers, so there is no layer 3"):
        access.read(cut, "loudness", layer=3)


def test_a_part_has_no_row_of_the_whole(noise_cuts: Path, tmp_path: Path, gain: Path) -> None:
    cut = load_cuts(make(noise_cuts, tmp_path / "out", gain))["utt05"]
    for part in (cut.truncate(duration=0.5), cut.truncate(offset=0.5)):
        with pytest.raises(UserError, match=r" is a part of an utterance .* its loudness is of the whole"):
            access.find(part, "loudness")


def test_damage_and_other_settings(noise_cuts: Path, tmp_path: Path, gain: Path) -> None:
    cuts = make(noise_cuts, tmp_path / "out", gain, rows="layers")
    config, given = FeaturesConfig(LoudnessConfig("layers"), SMALL), Given({"gain": gain})
    made, kept = compute_features(noise_cuts, tmp_path / "out", config, given)
    assert (made, kept > 2) == (0, True)
    archive = tmp_path / "out" / "block-00001.arrays"
    good = archive.read_bytes()
    archive.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    damaged = next(cut for cut in load_cuts(cuts) if cut.loudness.array.storage_path == str(archive))
    with pytest.raises(UserError, match=r"block-00001\.arrays is damaged .*; run the feature stage"):
        access.read(damaged, "loudness")
    assert compute_features(noise_cuts, tmp_path / "out", config, given) == (1, kept - 1)
    assert archive.read_bytes() == good
    gain.write_text("2.0")
    assert compute_features(noise_cuts, tmp_path / "out", config, given) == (kept, 0)
    # of another kind in the same folder nothing stays
    (tmp_path / "out" / "block-00000.lca").write_text("")
    collect_features(noise_cuts, tmp_path / "out", config, given)
    assert not (tmp_path / "out" / "block-00000.lca").exists()
    gain.write_text("1e6")
    with pytest.raises(UserError, match=r"values of up to .* do not fit float16; keep them as float32"):
        compute_features(noise_cuts, tmp_path / "out", config, given)


def test_how_much_is_said_first(
    noise_cuts: Path, tmp_path: Path, gain: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO):
        make(noise_cuts, tmp_path / "out", gain, rows="frames")
    assert caplog.messages[0].startswith("loudness: 0.00 h of audio in 4 of 4 blocks, about 10.1 kB on the disk (")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage._replace(free=9000))
    with pytest.raises(UserError, match=r"has 9 kB free, and loudness will take about 10.1 kB there; make room"):
        make(noise_cuts, tmp_path / "other", gain, rows="frames")


def test_what_is_needed(noise_cuts: Path, tmp_path: Path, gain: Path) -> None:
    config = FeaturesConfig(LoudnessConfig())
    for inputs, message in (
        ({}, r"loudness needs a file with a factor: give --input gain=PATH; it is made by you"),
        ({"gain": tmp_path / "none"}, "none does not exist"),
        ({"gain": gain, "other": gain}, "--input other: loudness takes gain"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            compute_features(noise_cuts, tmp_path / "out", config, Given(inputs))


def test_configurations_that_are_none() -> None:
    for values, message in (
        ({}, "one block says which features, called mfcc, .*, loudness; here are none"),
        ({"loudness": {}, "mfcc": {}}, "here are mfcc and loudness"),
        ({"loudness": {"row": "frames"}}, "unknown key 'row'; did you mean 'rows'"),
        ({"loudness": {}, "perturbe": {}}, "unknown key 'perturbe'"),
        ({"loudness": {"frame_shift": 0}}, "loudness: frame_shift must be "),
        ({"bottleneck": {}, "perturb": {"speed": True}}, "perturb: is of audio, and bottleneck is computed from"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            features_config(values, "conf")
    assert features_config({"loudness": {}, "mfcc": None}, "conf").kind is LOUDNESS
    assert [kind_of(name) for name in ("loudness", "loudness_x", "bottleneck_tdnnf4", "loud")] == [
        LOUDNESS, LOUDNESS, KINDS["bottleneck"], None
    ]  # fmt: skip


def test_several_manifests_joined(noise_cuts: Path, noise_features: Path, tmp_path: Path, gain: Path) -> None:
    loud = make(noise_cuts, tmp_path / "loud", gain)
    for cut in access.join_cuts([noise_features, loud, noise_features]):
        assert access.names_of(cut) == ["features", "loudness"]
        assert access.read(cut).shape == (cut.num_frames, 13)
        assert access.read(cut, "loudness").shape == (1, 2)
    assert [access.names_of(cut) for cut in access.join_cuts([loud, noise_features])] == [["features", "loudness"]] * 12
    # computed one from the other's cuts it is all there at once, and the stamp knows both
    both = make(noise_features, tmp_path / "both", gain)
    assert made_with(both)["features"]["mfcc"]["num_ceps"] == 13
    assert access.names_of(load_cuts(both)["utt00"]) == ["features", "loudness"]

    def refused(change: Any, match: str) -> None:
        CutSet.from_cuts(change(CutSet.from_file(loud))).to_file(tmp_path / "changed.jsonl.gz")
        with pytest.raises(UserError, match=match):
            list(access.join_cuts([both, tmp_path / "changed.jsonl.gz"]))

    def with_duration(cuts: CutSet) -> list[Any]:
        return [cut.truncate(duration=cut.duration - 0.1, preserve_id=True) for cut in cuts]

    refused(lambda cuts: list(cuts)[1:], "utt00 of .*both.* is not in .*changed")
    refused(with_duration, r"utt00 is 0.5 s of utt00 from 0 s on in .*, and 0.4 s of utt00")
    refused(list, "utt00 has loudness in .* and another in ")
    fbank = tmp_path / "fbank"
    options = features_config({"fbank": {"engine": "lhotse"}}, "")
    compute_features(noise_cuts, fbank, options)
    collect_features(noise_cuts, fbank, options)
    with pytest.raises(UserError, match=r"has features .* in .* and others in .*, and a cut has one kind"):
        list(access.join_cuts([noise_features, fbank / "cuts.jsonl.gz"]))


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """A file of 16 GB, most of it a hole: a few rows of one layer take no memory to speak of."""
    rows, width = 10**6, 1000
    path = tmp_path / "large.arrays"
    with open(path, "wb") as stream:
        stream.truncate(4 * 2 * rows * width * 2)
        stream.seek(2 * width * (3 * rows + 500_000))
        stream.write(np.full(width, 7, dtype="<f2").tobytes())
    array = Array("sertools_arrays", str(path), f"0:f2:4,{rows},{width}:1", [4, rows, width])
    cut = MonoCut("u", 4999.9, 0.2, 0).with_custom("loudness", TemporalArray(array, 1, 0.01, 0.0))
    tracemalloc.start()
    found = access.read(cut, "loudness", layer=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (20, width)
    assert [float(found[row].max()) for row in (9, 10, 11)] == [0, 7, 0]
    assert peak < 10**6


@pytest.mark.parametrize(
    "key",
    ["", "0:f4:3", "0:f8:3,2:0", "-1:f4:3,2:0", "0:f4:-3,2:0", "0:f4:3,2:2", "0:f4:9,9,9,9,9:0", f"0:f4:{2**40}:0"],
)
def test_keys_that_are_none(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="says of no array"):
        parse_key(key)
    (tmp_path / "short.arrays").write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match="ends before"):
        ArraysReader(tmp_path / "short.arrays").read("0:f4:3,2:0")
