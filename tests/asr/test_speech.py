"""How much speech an acoustic model has learnt from."""

from pathlib import Path

from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from sertools.asr.speech import speech_of
from sertools.features.frames.perturb import perturb
from sertools.manifests import write_cuts


def test_copies_at_other_speeds_are_no_more_speech(tmp_path: Path) -> None:
    cuts = []
    for name, corpus, seconds in (("a", "one", 2.0), ("b", "two", 3.5), ("c", None, 1.0)):
        source = AudioSource("file", [0], f"{name}.wav")
        recording = Recording(name, [source], 16000, round(16000 * seconds), seconds)
        told = SupervisionSegment(name, name, 0.0, seconds, text="x", custom={"corpus": corpus} if corpus else None)
        cuts.append(MonoCut(name, 0.0, seconds, 0, [told], recording=recording))
    path = tmp_path / "cuts.jsonl.gz"
    write_cuts(list(perturb(CutSet.from_cuts(cuts), speed=True, volume=True)), path)
    assert speech_of(path) == {"seconds": 6.5, "corpora": ["one", "two"]}
