"""A toy corpus: files called SPEAKER_EMOTION_NUMBER.wav."""

from pathlib import Path

from lhotse import SupervisionSegment

from sertools.corpora.audio_check import Progress, check_all
from sertools.corpora.class_sets import ClassSet
from sertools.corpora.corpus import Corpus
from sertools.corpora.layout import listing_hash, visible
from sertools.corpora.manifests import Found, Prepared, prepare
from sertools.provenance import Stamp


def prepare_toy(
    corpus_dir: Path | str, output_dir: Path | str, *, skip_bad: bool = False, jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:  # fmt: skip
    """Write ``toy_{recordings,supervisions,cuts}_all.jsonl.gz``."""
    root = Path(corpus_dir)
    stamp = Stamp({"corpus_dir": str(root), "skip_bad": skip_bad}, {"corpus": listing_hash(root, ["*.wav"])})

    def find() -> Found:
        audio, problems = check_all({path.stem: path for path in visible(root.glob("*.wav"))}, jobs=jobs)
        found = Found(problems=problems)
        recordings = [file.recording(name) for name, file in audio.items()]
        supervisions = []
        for recording in recordings:
            speaker, emotion, _ = recording.id.split("_")
            custom = {"emotion": emotion, "session": f"group{int(speaker[1:]) // 2}", "corpus": "toy"}
            supervisions.append(
                SupervisionSegment(recording.id, recording.id, 0.0, recording.duration, speaker=speaker, custom=custom)
            )
        found.splits["all"] = recordings, supervisions
        return found

    return prepare("toy", find, output_dir, stamp, skip_bad)


CORPUS = Corpus("toy", "a toy", prepare_toy, (ClassSet("two", "loud, soft", {"loud": "loud", "soft": "soft"}),))
