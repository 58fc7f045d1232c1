"""Players on the page: only where they are asked for, links unless copies are."""

from pathlib import Path

import numpy as np
import soundfile
from invented_experiments import write_experiment
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from sertools.evaluation.score.listening import button, sounds
from sertools.evaluation.score.scoring import Wishes, evaluate
from sertools.partitions.folds import Folds


def test_players(tmp_path: Path, folds: Folds) -> None:
    (tmp_path / "my audio").mkdir()
    soundfile.write(tmp_path / "my audio/all of it.wav", np.zeros(8000), 1000)
    recording = Recording.from_file(tmp_path / "my audio/all of it.wav")
    cuts = []
    for number, name in enumerate(folds.labels):
        told = SupervisionSegment(name, recording.id, 0, 0.1, speaker=folds.speakers[name])
        cuts.append(MonoCut(name, 0.1 * number, 0.1, 0, [told], recording=recording))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    experiment = write_experiment(tmp_path / "exp", folds)
    results = experiment / "results"
    evaluate(experiment, results, folds)
    plain = (results / "report.html").read_text()
    assert 'class="listen"' not in plain
    assert "data-sound" not in plain
    evaluate(experiment, results, folds, Wishes(listen=str(tmp_path / "cuts.jsonl.gz")))
    page = (results / "report.html").read_text()
    assert 'data-sound="../../my%20audio/all%20of%20it.wav#t=' in page
    assert not (results / "audio").exists()
    evaluate(experiment, results, folds, Wishes(listen=str(tmp_path / "cuts.jsonl.gz"), copy_audio=True))
    assert 'data-sound="audio/all_of_it.wav#t=' in (results / "report.html").read_text()
    assert [path.name for path in (results / "audio").iterdir()] == ["all_of_it.wav"]


def test_button_is_escaped() -> None:
    assert str(button('a"<b', "x.wav")).count('"') == 8
    assert "<b" not in str(button('a"<b', "x.wav")).replace("<button", "")
    assert button("a", None) == "–"
    assert sounds.__doc__
