"""MSP-IMPROV: its label file with all its oddities, its layout, and the synthetic miniature."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSet

from sertools.corpora.demo.msp_improv import DemoMspImprov, make_demo_msp_improv
from sertools.corpora.msp_improv import PUBLISHED, prepare_msp_improv
from sertools.corpora.msp_improv_labels import TurnName, read_labels
from sertools.errors import UserError

BLOCKS = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.000000; V:2.500000; D:3.000000 ; N:NaN;
WORKER00000001; Neutral; Neutral,Bored; A:3.000000; V:2.000000; D:3.000000; N:4.000000;
WORKER00000002; Angry; Angry; A:3.000000; V:3.000000; D:3.000000; N:4.000000;
WORKER00000001; Happy; Happy; A:3.000000; V:2.000000; D:3.000000; N:4.000000;

UTD-IMPROV-S02H-M06-R-MF12.avi; X; A:4.500000; V:4.000000; D:3.200000; N:3.500000;
WORKER00000009; Other-confused; Concerned; A:3.000000; V:2.000000; D:3.000000; N:4.000000;
"""
SUPERVISIONS = "msp_improv_supervisions_all.jsonl.gz"


@pytest.fixture(params=["Evalution.txt", "Evaluation.txt"])
def corpus(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Two turns, with the label file's two spellings and the audio inside Audio/ or not."""
    root = tmp_path / "MSP-IMPROV"
    audio = root / "Audio" if request.param == "Evalution.txt" else root
    for name in ("session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav", "session6/S02H/R/MSP-IMPROV-S02H-M06-R-MF12.wav"):
        (audio / name).parent.mkdir(parents=True)
        soundfile.write(audio / name, np.full(4410, 0.1), 44100)
    (root / request.param).write_text(BLOCKS)
    return root


def test_labels_with_their_oddities(tmp_path: Path) -> None:
    path = tmp_path / "Evalution.txt"
    path.write_bytes(BLOCKS.replace("\n", "\r\n").encode())
    labels, problems = read_labels(path)
    assert not problems
    first, second = labels
    assert (first.emotion, first.arousal, first.valence, first.dominance, first.naturalness) == (
        "neutral", 3.0, 2.5, 3.0, None,
    )  # fmt: skip
    # a rater who stands twice counts once, by the last answer
    assert first.votes == {"angry": 1, "happy": 1}
    assert first.repeated == 1
    assert (second.emotion, second.votes, second.naturalness) == ("no agreement", {"other": 1}, 3.5)
    assert (second.name.speaker, second.name.session, second.name.gender) == ("M06", "Session6", "male")


@pytest.mark.parametrize(
    "line",
    ["UTD-IMPROV-S01A-F07-P-FM01.avi; N; A:3; V:3; D:3;", "UTD-IMPROV-S01A-F01-P-FM02.avi; Q; A:3; V:3; D:3;",
     "UTD-IMPROV-S01A-F01-P-FM02.avi; N; A:3; V:3;", "UTD-IMPROV-S01A-F01-P-FM02.avi; N; A:9; V:3; D:3;",
     "nonsense"],
)  # fmt: skip
def test_lines_that_do_not_parse_are_problems(tmp_path: Path, line: str) -> None:
    path = tmp_path / "Evalution.txt"
    path.write_text(f"{BLOCKS}\n{line}\n")
    labels, problems = read_labels(path)
    assert len(labels) == 2
    assert [(problem.kind, problem.line) for problem in problems] == [("label line does not parse", 9)]
    path.write_text(BLOCKS + "\n" + BLOCKS.splitlines()[0])
    assert [problem.kind for problem in read_labels(path)[1]] == ["duplicate"]


def test_names() -> None:
    name = TurnName.parse("UTD-IMPROV-S14S-F03-T-FM07.avi")
    assert name is not None
    assert name.stem == "MSP-IMPROV-S14S-F03-T-FM07"
    assert name == TurnName.parse("MSP-IMPROV-S14S-F03-T-FM07.wav")
    assert TurnName.parse("MSP-IMPROV-S14S-F03-X-FM07.wav") is None


def test_both_layouts(corpus: Path, tmp_path: Path) -> None:
    done = prepare_msp_improv(corpus.parent, tmp_path / "out")
    assert done.counts["all utterances"] == 2
    assert any("44100 Hz are resampled" in note for note in done.notes)
    segment = SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS).to_eager()["MSP-IMPROV-S01A-F01-P-FM01"]
    assert (segment.speaker, segment.gender) == ("F01", "female")
    assert segment.custom["scenario"] == "natural interaction"
    assert segment.custom["target"] == "angry"
    assert segment.custom["votes"] == {"angry": 1, "happy": 1}
    assert "naturalness" not in segment.custom
    # real counts are compared with the published ones
    assert any("counts differ: utterances, all: 2, published 8438" in note for note in done.notes)


def test_what_is_wrong_is_said(corpus: Path, tmp_path: Path) -> None:
    wav = next(corpus.rglob("*FM01.wav"))
    wav.rename(wav.with_name("MSP-IMPROV-S01A-F02-P-FM01.wav"))
    with pytest.raises(UserError, match=r"1 x bad file name, 1 x missing audio"):
        prepare_msp_improv(corpus, tmp_path / "out")
    for path in corpus.glob("Eval*"):
        path.unlink()
    with pytest.raises(UserError, match=r"no label file: Evalution.txt or Evaluation.txt"):
        prepare_msp_improv(corpus, tmp_path / "out")
    with pytest.raises(UserError, match="expected the layout"):
        prepare_msp_improv(tmp_path / "out", tmp_path / "out2")


def test_published_counts_are_those_of_s2() -> None:
    sums = np.sum(list(PUBLISHED.values()), axis=0).tolist()
    assert sums == [792, 885, 2644, 3477, 85, 555]
    assert sum(sums[:4]) == 7798
    assert sum(sums) == 8438


def test_the_miniature_goes_through(tmp_path: Path) -> None:
    made = make_demo_msp_improv(DemoMspImprov(turns=8), tmp_path / "demo", jobs=1)
    assert made.utterances == 96
    done = prepare_msp_improv(tmp_path / "demo", tmp_path / "out")
    segments = SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS)
    assert done.counts["problems"] == 0
    assert {segment.custom["corpus"] for segment in segments} == {"msp_improv-synthetic"}
    assert len({segment.speaker for segment in segments}) == 12
    assert set(Counter(s.custom["emotion"] for s in segments)) == {
        "angry", "sad", "happy", "neutral", "other", "no agreement",
    }  # fmt: skip
