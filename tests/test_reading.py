"""Files of others: other encodings, pipes, devices, bombs, links out of their folder."""

import gzip
import json
import os
from pathlib import Path

import pytest
import torch

from sertools.config import from_dict, load_config
from sertools.emotion.copies import keep_copy
from sertools.emotion.tdnn.config import EmotionConfig
from sertools.errors import UserError
from sertools.features.frames.mfcc import MfccConfig
from sertools.files import content_hash, read_json
from sertools.limits import INFO, RECORDING, check_setting, check_size
from sertools.manifests import load_cuts
from sertools.reading import open_lines, parse_json, parse_yaml, read_text
from sertools.runs.folder import read_history
from sertools.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("fröhlich".encode("latin-1"), r"is not UTF-8 \(byte 0xf6 in line 1\), perhaps Latin-1.*iconv -f latin1"),
        (b"a\nb\xff\n", "byte 0xff in line 2"),
        ("text".encode("utf-16"), "UTF-16 or UTF-32, as Windows writes 'Unicode'"),
    ],
)
def test_other_encodings(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_text(path)
    with pytest.raises(UserError, match=r"x\.txt"), open_lines(path) as stream:
        stream.read()


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xb6"}')
    assert read_json(path, "x") == {"a": "ö"}
    with open_lines(path) as stream:
        assert stream.read().startswith("{")
    with gzip.open(tmp_path / "x.gz", "wb") as packed:
        packed.write(b"\xef\xbb\xbfa b\n")
    with open_lines(tmp_path / "x.gz") as stream:
        assert stream.read() == "a b\n"
    path.write_bytes(b"\xef\xbb\xbfsampling_rate: 8000\n")
    assert load_config(MfccConfig, path).sampling_rate == 8000


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["fifo", "zero"])
def test_pipes_and_devices(tmp_path: Path, make: object) -> None:
    """Nothing waits for a pipe, or reads a device to its end."""
    save_checkpoint(tmp_path / "c", Checkpoint({"x": torch.zeros(1)}, {}, {}))
    for name in ("model.safetensors", "config.yaml", "info.json"):
        kept = (tmp_path / "c" / name).rename(tmp_path / "kept")
        make(tmp_path / "c" / name)  # type: ignore[operator]
        with pytest.raises(UserError, match=rf"{name} is a pipe or a device"):
            load_checkpoint(tmp_path / "c")
        (tmp_path / "c" / name).unlink()
        kept.rename(tmp_path / "c" / name)
    path = tmp_path / "x.jsonl"
    make(path)  # type: ignore[operator]
    for use in (content_hash, read_text, load_cuts, read_history):
        with pytest.raises(UserError, match=r"x\.jsonl is (a pipe or a device|not a file)"):
            use(path)


def test_a_text_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with open(path, "wb") as stream:
        stream.truncate(1 << 33)  # of no content on the disk
    with pytest.raises(UserError, match="has 8589934592 bytes, and at most 67108864 are read"):
        read_text(path)


@pytest.mark.parametrize("text", [BOMB, "&a [*a]", "[" * 3000 + "]" * 3000, "a: &a {b: *a}"])
def test_bombs_in_yaml(text: str) -> None:
    with pytest.raises(UserError, match=r"^x is "):
        parse_yaml(text, "x")


def test_bombs_in_json() -> None:
    with pytest.raises(UserError, match=r"^x is "):
        parse_json("[" * 100_000, "x")
    with pytest.raises(UserError, match="nested deeper than 50"):
        parse_json("[" * 60 + "]" * 60, "x")
    check_size({"a": [1, {"b": None}]}, "x")


def test_links_out_of_a_folder_are_not_copied(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    folder = tmp_path / "given"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside/a").write_text("a")
    (folder / "b").symlink_to("inside/a")
    (tmp_path / "link").symlink_to(folder)
    keep_copy(tmp_path / "link", tmp_path / "copy")
    assert (tmp_path / "copy/b").read_text() == "a"
    (folder / "c").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"given/c is a link to .*secret, out of its folder"):
        keep_copy(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ([], "must be an object"),
        ({"classes": "ab"}, "classes must be a list, not 'ab'"),
        ({"classes": [1, 2]}, r"classes\[0\] must be a text, not 1"),
        ({"best_epoch": 1e9}, "best_epoch must be an integer"),
        ({"inputs": ["x"]}, "inputs must be an object"),
        ({"remarks": "one"}, "remarks must be a list"),
        ({"pretrained": "a\0b"}, "holds what is no character"),
    ],
)
def test_what_a_checkpoint_says(tmp_path: Path, info: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        INFO.check(info, "info.json")
    save_checkpoint(tmp_path / "c", Checkpoint({"x": torch.zeros(1)}, {}, {}))
    (tmp_path / "c/info.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=rf"info\.json.*{words}"):
        load_checkpoint(tmp_path / "c")


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", Checkpoint({"x": torch.tensor([1.0, float("nan")])}, {}, {}))
    with pytest.raises(UserError, match=r"model\.safetensors: x is not finite"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("rate", [1e9, 1e-9, 0, -16000, 10**9, True, "16000", None, float("nan")])
def test_rates_that_cannot_be(rate: object) -> None:
    sources = [{"type": "file", "channels": [0], "source": "a.wav"}]
    good = {"id": "a", "sources": sources, "sampling_rate": 16000, "num_samples": 9, "duration": 1.0}
    RECORDING.check(good, "x")
    with pytest.raises(UserError, match=r"x: sampling_rate must be an integer in 1000 \.\. 384000"):
        RECORDING.check({**good, "sampling_rate": rate}, "x")


@pytest.mark.parametrize(
    "values",
    [
        {"sampling_rate": 10**9}, {"frame_shift": 1e-9}, {"frame_length": 1e9}, {"num_mel_bins": 10**9},
        {"frame_shift": float("nan")}, {"high_freq": float("inf")}, {"low_freq": 10**400},
    ],
)  # fmt: skip
def test_settings_of_a_size_that_cannot_be(values: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"x: {next(iter(values))}"):
        from_dict(MfccConfig, values, "x")


def test_sizes_of_networks_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"hidden_dim must be in 0 \.\. 16384, not 1000000000"):
        from_dict(EmotionConfig, {"model": {"trunk": {"hidden_dim": 10**9}}}, "x")
    with pytest.raises(UserError, match="at most 10000 are read"):
        check_setting("strides", (1,) * 20_000, "x")
