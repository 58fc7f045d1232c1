"""augment_corpus.py: what it writes, when it does so again, and what it refuses."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording, SupervisionSegment
from quick_programs import Program

from sertools.augmentation.fields import is_copy
from sertools.manifests import read_cuts, read_supervisions, write_cuts
from sertools.provenance import begin

SLOW, NOISY = ("--copy", "speed=0.9"), ("--copy", "noise=5..20")


class Corpus:
    """Three utterances, and the program."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.folder, self.out, self._program = folder, folder / "out", program
        self.cuts = folder / "mine_cuts_all.jsonl.gz"
        made = []
        for number in range(3):
            path = folder / f"{number}.wav"
            soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 8000), 16000)
            who = {"speaker": f"s{number}", "custom": {"emotion": "sad"}}
            told = SupervisionSegment(f"u{number}", f"r{number}", 0.0, 0.5, **who)  # type: ignore[arg-type]
            recording = Recording.from_file(path, recording_id=f"r{number}")
            made.append(MonoCut(f"u{number}", 0.0, 0.5, 0, recording=recording, supervisions=[told]))
        write_cuts(made, self.cuts)

    def run(self, *options: object, out: Path | None = None) -> str:
        """Output of a run that ends well."""
        done = self._program("augment_corpus.py", "--jobs", 1, *options, self.cuts, out or self.out)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *options: object, out: Path | None = None, cuts: Path | None = None) -> str:
        """The error of one that does not."""
        done = self._program("augment_corpus.py", "--jobs", 1, *options, cuts or self.cuts, out or self.out)
        assert done.returncode
        assert "Traceback" not in done.stderr
        return done.stderr

    def audio(self) -> list[Path]:
        return sorted((self.out / "copies").rglob("*.flac"))


@pytest.fixture
def corpus(tmp_path: Path, program: Program) -> Corpus:
    return Corpus(tmp_path, program)


def test_utterances_and_their_copies_once(corpus: Corpus) -> None:
    assert "3 utterances and 6 copies" in corpus.run(*SLOW, *NOISY)
    cuts = list(read_cuts(corpus.out / "mine_cuts_all.jsonl.gz"))
    assert [cut.id for cut in cuts[:3]] == ["u0", "u1", "u2"]
    assert [cut.id for cut in cuts[3:]] == [f"u{n}_{what}" for n in range(3) for what in ("speed0.9", "noise5-20")]
    assert [is_copy(cut) for cut in cuts] == [False] * 3 + [True] * 6
    supervisions = read_supervisions(corpus.out / "mine_supervisions_all.jsonl.gz")
    assert [one.id for one in supervisions] == [cut.id for cut in cuts]
    assert "is up to date" in corpus.run(*SLOW, *NOISY)


@pytest.mark.parametrize(
    "change",
    [
        lambda corpus: corpus.audio()[0].unlink(),
        lambda corpus: corpus.audio()[0].write_bytes(b"broken"),
        lambda corpus: begin(corpus.out),
    ],
    ids=["lost", "damaged", "not finished"],
)
def test_what_is_lost_is_made_again_as_it_was(corpus: Corpus, change: Callable[[Corpus], Any]) -> None:
    corpus.run(*SLOW)
    whole = {path: path.read_bytes() for path in corpus.audio()}
    change(corpus)
    assert "3 copies" in corpus.run(*SLOW)
    assert {path: path.read_bytes() for path in corpus.audio()} == whole


def test_other_settings_and_other_audio_leave_nothing_old(corpus: Corpus) -> None:
    corpus.run(*SLOW)
    first = corpus.audio()
    assert "copies: ['speed=0.9'] -> ['noise=5..20']" in corpus.run(*NOISY)
    second = corpus.audio()
    assert len(second) == 3
    assert not any(path.exists() for path in first)
    # the manifest is the same, and so is the length
    soundfile.write(corpus.folder / "0.wav", np.random.default_rng(9).normal(0, 0.1, 8000), 16000)
    before = {path.name: path.read_bytes() for path in second}
    assert "input audio changed" in corpus.run(*NOISY)
    after = {path.name: path.read_bytes() for path in corpus.audio()}
    assert [name for name in before if before[name] != after[name]] == ["u0.flac"]


def test_nothing_of_the_users_is_removed(corpus: Corpus) -> None:
    for name in ("audio/mine.wav", "copies/mine.wav", "copies/keep/mine.wav"):
        path = corpus.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    corpus.run(*SLOW)
    corpus.run(*NOISY)
    assert len(list(corpus.out.rglob("mine.wav"))) == 3


def test_what_is_refused(corpus: Corpus) -> None:
    assert "there are speed=, noise=" in corpus.refused("--copy", "faster=2")
    assert "speed=0.9 is given twice" in corpus.refused(*SLOW, "--copy", "speed=0.90")
    assert "give another folder as OUT" in corpus.refused(*SLOW, out=corpus.folder)
    other = corpus.folder / "cuts.jsonl.gz"
    shutil.copy(corpus.cuts, other)
    assert "is not called NAME_cuts_all.jsonl.gz" in corpus.refused(*SLOW, cuts=other)
    corpus.run(*SLOW)
    assert "has copies already, such as u0_speed0.9" in corpus.refused(
        *SLOW, cuts=corpus.out / "mine_cuts_all.jsonl.gz", out=corpus.folder / "again"
    )
    renamed = corpus.folder / "yours_cuts_all.jsonl.gz"
    shutil.copy(corpus.cuts, renamed)
    assert "mine_cuts_all.jsonl.gz is of another corpus" in corpus.refused(*SLOW, cuts=renamed)


def test_manifests_beside_the_cuts_that_differ_are_refused(corpus: Corpus) -> None:
    path = corpus.folder / "mine_supervisions_all.jsonl.gz"
    supervisions = [cut.supervisions[0] for cut in read_cuts(corpus.cuts)]

    def written(supervisions: list[SupervisionSegment]) -> None:
        lines = "".join(json.dumps(one.to_dict()) + "\n" for one in supervisions)
        path.write_bytes(gzip.compress(lines.encode()))

    written(supervisions[:2])
    assert "u2 is in" in corpus.refused(*SLOW)
    supervisions[1].custom = {"emotion": "happy"}
    written(supervisions)
    assert "differ about u1 (speaker or labels)" in corpus.refused(*SLOW)


def test_a_folder_by_another_way_and_moved(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    (corpus.folder / "below").mkdir()
    monkeypatch.chdir(corpus.folder / "below")
    assert "3 copies" in corpus.run(*SLOW, out=Path("../out"))
    assert "is up to date" in corpus.run(*SLOW)
    moved = corpus.folder / "moved"
    corpus.out.rename(moved)
    assert "was moved" in corpus.run(*SLOW, out=moved)
    for cut in read_cuts(moved / "mine_cuts_all.jsonl.gz"):
        assert Path(cut.recording.sources[0].source).exists()


def test_a_manifest_that_is_there_is_kept(corpus: Corpus) -> None:
    corpus.out.mkdir()
    shutil.copy(corpus.cuts, corpus.out)
    assert "not made by augment_corpus.py" in corpus.refused(*SLOW)
    assert (corpus.out / corpus.cuts.name).read_bytes() == corpus.cuts.read_bytes()
