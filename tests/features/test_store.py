"""The feature store: killed, run again, changed, damaged."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet

from sertools.errors import UserError
from sertools.features.frames.mfcc import Mfcc, MfccConfig
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.records import check_archive
from sertools.features.store import StoreConfig
from sertools.provenance import require_whole

CONFIG = FeaturesConfig(MfccConfig(engine="lhotse"), StoreConfig(block_minutes=0.05))


def all_jobs(cuts: Path, out: Path, config: FeaturesConfig = CONFIG, num_jobs: int = 2) -> tuple[int, int]:
    results = [compute_features(cuts, out, config, job=j, num_jobs=num_jobs) for j in range(1, num_jobs + 1)]
    return sum(made for made, _ in results), sum(kept for _, kept in results)


def test_features_are_those_of_the_extractor(noise_cuts: Path, tmp_path: Path) -> None:
    made, kept = all_jobs(noise_cuts, tmp_path / "out")
    assert made >= 3
    assert kept == 0
    collect_features(noise_cuts, tmp_path / "out", CONFIG)
    cuts = CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz").to_eager()
    assert [c.id for c in cuts] == [f"utt{n:02d}" for n in range(12)]
    for cut in cuts:
        expected = Mfcc(CONFIG.options).extract(cut.load_audio(), 16000)
        # lilcom keeps multiples of 2 ** -8
        assert np.abs(cut.load_features() - expected).max() <= 2**-8
        assert cut.supervisions[0].custom["emotion"] == "sad"


def test_run_again_keeps_everything_also_with_another_number_of_jobs(noise_cuts: Path, tmp_path: Path) -> None:
    made, _ = all_jobs(noise_cuts, tmp_path / "out")
    assert all_jobs(noise_cuts, tmp_path / "out", num_jobs=3) == (0, made)
    assert collect_features(noise_cuts, tmp_path / "out", CONFIG) is not None
    assert collect_features(noise_cuts, tmp_path / "out", CONFIG) is None


def test_changed_configuration_makes_stale(noise_cuts: Path, tmp_path: Path) -> None:
    made, _ = all_jobs(noise_cuts, tmp_path / "out")
    collect_features(noise_cuts, tmp_path / "out", CONFIG)
    changed = FeaturesConfig(MfccConfig(engine="lhotse", num_ceps=13), CONFIG.store)
    with pytest.raises(UserError, match=r"missing, damaged or out of date.*run the feature stage again"):
        collect_features(noise_cuts, tmp_path / "out", changed)
    assert all_jobs(noise_cuts, tmp_path / "out", changed) == (made, 0)
    assert "mfcc.num_ceps: 40 -> 13" in str(collect_features(noise_cuts, tmp_path / "out", changed))
    cut = next(iter(CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz")))
    assert cut.load_features().shape[1] == 13


def test_changed_audio_makes_its_block_stale(noise_cuts: Path, tmp_path: Path) -> None:
    made, _ = all_jobs(noise_cuts, tmp_path / "out")
    os.utime(tmp_path / "wav" / "utt05.wav", (1, 1))
    assert all_jobs(noise_cuts, tmp_path / "out") == (1, made - 1)


def test_flipped_byte_is_found_and_only_its_block_redone(noise_cuts: Path, tmp_path: Path) -> None:
    made, _ = all_jobs(noise_cuts, tmp_path / "out")
    archive = tmp_path / "out" / "block-00001.lca"
    good = archive.read_bytes()
    archive.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    with pytest.raises(UserError, match="block-00001"):
        collect_features(noise_cuts, tmp_path / "out", CONFIG)
    assert all_jobs(noise_cuts, tmp_path / "out") == (1, made - 1)
    assert archive.read_bytes() == good


@pytest.mark.parametrize("damage", ["half", "nothing", "digit"])
def test_damaged_record_is_found(noise_cuts: Path, tmp_path: Path, damage: str) -> None:
    made, _ = all_jobs(noise_cuts, tmp_path / "out")
    record = tmp_path / "out" / "block-00001.json"
    good = record.read_text()
    digit = good.index('"duration": ') + 12
    spoilt = {"half": good[: len(good) // 2], "nothing": "", "digit": good[:digit] + "7" + good[digit + 1 :]}
    record.write_text(spoilt[damage])
    assert record.read_text() != good
    with pytest.raises(UserError, match="block-00001"):
        collect_features(noise_cuts, tmp_path / "out", CONFIG)
    assert all_jobs(noise_cuts, tmp_path / "out") == (1, made - 1)
    assert record.read_text() == good


def test_damage_is_found_by_who_reads(noise_cuts: Path, tmp_path: Path) -> None:
    all_jobs(noise_cuts, tmp_path / "out")
    archive, record = tmp_path / "out" / "block-00001.lca", tmp_path / "out" / "block-00001.json"
    check_archive(archive)
    status = archive.stat()
    good = archive.read_bytes()
    archive.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    with pytest.raises(UserError, match=r"block-00001\.lca is damaged .*; run the feature stage again"):
        check_archive(archive)
    archive.write_bytes(good)
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    check_archive(archive)
    record.write_text(record.read_text()[:-9])
    os.utime(archive, (1, 1))
    with pytest.raises(UserError, match=r"block-00001\.json is damaged, or of an earlier version; run the stage"):
        check_archive(archive)
    record.unlink()  # as for archives of others
    check_archive(archive)
    archive.unlink()
    with pytest.raises(UserError, match=r"block-00001\.lca is gone"):
        check_archive(archive)


def test_later_stages_take_nothing_while_blocks_are_made(noise_cuts: Path, tmp_path: Path) -> None:
    """Killed between the blocks of another configuration, the old manifest is not read with new archives."""
    all_jobs(noise_cuts, tmp_path / "out")
    collect_features(noise_cuts, tmp_path / "out", CONFIG)
    cuts = require_whole(tmp_path / "out" / "cuts.jsonl.gz", "the feature stage")
    changed = FeaturesConfig(MfccConfig(engine="lhotse", num_ceps=13), CONFIG.store)
    compute_features(noise_cuts, tmp_path / "out", changed, job=1, num_jobs=2)
    with pytest.raises(UserError, match="not finished: the feature stage did not come to its end"):
        require_whole(cuts, "the feature stage")
    compute_features(noise_cuts, tmp_path / "out", changed, job=2, num_jobs=2)
    assert "mfcc.num_ceps: 40 -> 13" in str(collect_features(noise_cuts, tmp_path / "out", changed))
    require_whole(cuts, "the feature stage")


@pytest.mark.parametrize("days", [-400, 1])
def test_times_of_the_store_do_not_matter(noise_cuts: Path, tmp_path: Path, days: int) -> None:
    made, _ = all_jobs(noise_cuts, tmp_path / "out")
    collect_features(noise_cuts, tmp_path / "out", CONFIG)
    then = time.time() + 86400 * days
    for number, path in enumerate(sorted((tmp_path / "out").iterdir())):
        os.utime(path, (then - 3600 * number, then - 3600 * number))
    assert all_jobs(noise_cuts, tmp_path / "out") == (0, made)
    assert collect_features(noise_cuts, tmp_path / "out", CONFIG) is None


def test_what_a_killed_job_left_is_swept_away(noise_cuts: Path, tmp_path: Path) -> None:
    all_jobs(noise_cuts, tmp_path / "out")
    (tmp_path / "out" / ".new-abc-block-00001.lca").write_text("half")
    all_jobs(noise_cuts, tmp_path / "out")
    assert list((tmp_path / "out").glob(".new-*")) == []


def test_blocks_of_a_larger_set_are_removed(noise_cuts: Path, tmp_path: Path) -> None:
    all_jobs(noise_cuts, tmp_path / "out")
    CutSet.from_file(noise_cuts).subset(first=4).to_file(noise_cuts.parent / "few.jsonl.gz")
    all_jobs(noise_cuts.parent / "few.jsonl.gz", tmp_path / "out")
    collect_features(noise_cuts.parent / "few.jsonl.gz", tmp_path / "out", CONFIG)
    assert len(CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz").to_eager()) == 4
    names = {path.name for path in (tmp_path / "out").glob("block-*")}
    assert all(name.startswith(("block-00000", "block-00001")) for name in names)


def test_moved_folder(noise_cuts: Path, tmp_path: Path) -> None:
    all_jobs(noise_cuts, tmp_path / "out")
    collect_features(noise_cuts, tmp_path / "out", CONFIG)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert all_jobs(noise_cuts, tmp_path / "elsewhere")[0] == 0
    assert "folder" in str(collect_features(noise_cuts, tmp_path / "elsewhere", CONFIG))
    cut = next(iter(CutSet.from_file(tmp_path / "elsewhere" / "cuts.jsonl.gz")))
    assert cut.load_features().shape == (cut.num_frames, 40)


def test_killed_at_any_moment(noise_cuts: Path, tmp_path: Path) -> None:
    """SIGKILL again and again; nothing is lost or doubled, and the result is the undisturbed one."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from sertools.features.frames import acoustic\n"
        "from sertools.features.frames.mfcc import MfccConfig\n"
        "from sertools.features.pipeline import FeaturesConfig, compute_features\n"
        "from sertools.features.store import StoreConfig\n"
        "real = acoustic.with_features\n"
        "def slow(*a):\n    time.sleep(0.05)\n    return real(*a)\n"
        "acoustic.with_features = slow\n"
        "c = FeaturesConfig(MfccConfig(engine='lhotse'), StoreConfig(block_minutes=0.05))\n"
        "print(*compute_features(Path(sys.argv[1]), Path(sys.argv[2]), c))\n"
    )
    command = [sys.executable, "-c", program, str(noise_cuts), str(tmp_path / "cut")]
    for delay in (0.1, 0.25):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        before = len(list((tmp_path / "cut").glob("block-*.json")))
        while len(list((tmp_path / "cut").glob("block-*.json"))) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, capture_output=True, text=True, check=True)
    made, kept = map(int, last.stdout.split())
    assert kept >= 2
    all_jobs(noise_cuts, tmp_path / "whole")
    for name in ("whole", "cut"):
        collect_features(noise_cuts, tmp_path / name, CONFIG)
    archives = sorted(path.name for path in (tmp_path / "whole").glob("*.lca"))
    assert len(archives) == made + kept
    assert archives == sorted(path.name for path in (tmp_path / "cut").glob("block-*.lca"))
    for name in archives:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_audio_that_is_gone_or_broken(noise_cuts: Path, tmp_path: Path) -> None:
    wav = tmp_path / "wav" / "utt03.wav"
    wav.write_bytes(b"no audio at all")
    with pytest.raises(UserError, match=r"cannot use the audio of utt03: .*utt03\.wav"):
        all_jobs(noise_cuts, tmp_path / "out")
    wav.unlink()
    with pytest.raises(UserError, match=r"utt03\.wav of utt03 is gone"):
        all_jobs(noise_cuts, tmp_path / "out")


def test_snip_edges_is_refused(noise_cuts: Path, tmp_path: Path) -> None:
    config = FeaturesConfig(MfccConfig(engine="lhotse", snip_edges=True))
    with pytest.raises(UserError, match="snip_edges: false"):
        compute_features(noise_cuts, tmp_path / "out", config)


def test_other_sampling_rates_are_resampled(tmp_path: Path) -> None:
    import soundfile
    from lhotse import Recording

    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 48000), 48000)
    recording = Recording.from_file(tmp_path / "a.wav")
    cuts = CutSet.from_cuts([recording.to_cut()])
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    compute_features(tmp_path / "cuts.jsonl.gz", tmp_path / "out", CONFIG)
    collect_features(tmp_path / "cuts.jsonl.gz", tmp_path / "out", CONFIG)
    cut = next(iter(CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz")))
    assert cut.load_features().shape == (100, 40)
    assert cut.sampling_rate == 16000
