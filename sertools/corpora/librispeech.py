"""LibriSpeech: 1000 hours of read English with transcripts.

Panayotov, Chen, Povey and Khudanpur, 2015, ICASSP; openslr 12, CC BY 4.0.  Used are
``<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac`` (16 kHz, mono), the
``<speaker>-<chapter>.trans.txt`` beside them (a line for each file: its name, then the words in upper
case without punctuation) and ``SPEAKERS.TXT``.  Subsets are lhotse's (lhotse.recipes.librispeech), and
recordings and supervisions those that it makes, with more about each, text in lower case, and nothing
skipped silently.  Mini LibriSpeech (openslr 31) is read where there is no other subset.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lhotse import SupervisionSegment
from lhotse.recipes.librispeech import LIBRISPEECH, MINI_LIBRISPEECH

from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.corpus import Corpus, ListOption
from sertools.corpora.found import Found
from sertools.corpora.layout import any_case, corpus_name, find_root, listing_hash, visible
from sertools.corpora.leaks import keep_apart, keep_copies_apart
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.lang.text import TextConfig, to_words
from sertools.provenance import Stamp
from sertools.reading import check_regular

VERSION = 2
LAYOUT = "LibriSpeech/{train-clean-100,dev-clean,...}/SPEAKER/CHAPTER/*.flac"
SPEAKERS = "SPEAKERS.TXT"
SPLITS = {"dev-clean": "dev", "test-clean": "test", "dev-clean-2": "dev"}  # train-* are train; others have their name

# The dataset card of openslr/librispeech_asr.
UTTERANCES = {
    "train-clean-100": 28539, "train-clean-360": 104014, "train-other-500": 148688,
    "dev-clean": 2703, "dev-other": 2864, "test-clean": 2620, "test-other": 2939,
}  # fmt: skip
# Table 1 of the paper.
READERS = {
    "train-clean-100": 251, "train-clean-360": 921, "train-other-500": 1166,
    "dev-clean": 40, "dev-other": 33, "test-clean": 40, "test-other": 33,
}  # fmt: skip
# The sum of MINUTES in SPEAKERS.TXT, and what icefall gives; table 1 of the paper has 496.7 for
# train-other-500, and those of dev-other and test-other the other way round.
HOURS = {
    "train-clean-100": 100.6, "train-clean-360": 363.6, "train-other-500": 496.9,
    "dev-clean": 5.4, "dev-other": 5.1, "test-clean": 5.4, "test-other": 5.3,
}  # fmt: skip
SLACK = 0.02  # minutes that a speaker may differ from SPEAKERS.TXT
SHOWN = 10

_NAME = re.compile(r"([0-9]+)-([0-9]+)-[0-9]+")
_PLAIN = re.compile(r"[a-z' ]+")
_GENDERS = {"F": "female", "M": "male"}


@dataclass(frozen=True)
class Speaker:
    """A line of SPEAKERS.TXT: "female" or "male", the subset, and how much of it the speaker reads."""

    gender: str
    subset: str
    minutes: float


def prepare_librispeech(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    train_subsets: Sequence[str] = (),
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``librispeech_{recordings,supervisions,cuts}_{train,dev,test,dev-other,test-other}.jsonl.gz``.

    train is all train-* together, dev is dev-clean and test is test-clean; what is not there is not
    written, and noted.  ``custom`` of a supervision: subset, chapter, corpus.

    Args:
        corpus_dir: ``LibriSpeech`` or its parent.
        output_dir: for manifests, report and stamp.
        train_subsets: which train-* are train; none: all that are there.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio, which is decoded once.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, no such subset, or it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["LibriSpeech"], "[dt]*-[co]*", LAYOUT)
    subsets = choose_subsets(root, train_subsets)
    stamp = Stamp(
        {"corpus_dir": str(root), "subsets": list(subsets), "skip_bad": skip_bad, "version": VERSION},
        {"corpus": listing_hash(root, [SPEAKERS, *(f"{subset}/*/*/*" for subset in subsets)])},
    )
    result = prepare("librispeech", lambda: find(root, subsets, jobs, progress), output_dir, stamp, skip_bad)
    # nobody shall take those of an earlier run, which had more subsets, for these
    for split in {_split(subset) for subset in LIBRISPEECH} - {_split(subset) for subset in subsets}:
        for path in Path(output_dir).glob(f"librispeech_*_{split}.jsonl.gz"):
            path.unlink()
    return result


def choose_subsets(root: Path, train_subsets: Sequence[str] = ()) -> tuple[str, ...]:
    """The subsets to read, in lhotse's order: those of LibriSpeech that are there, else the mini ones.

    Args:
        root: the folder that holds the subsets.
        train_subsets: which train-* to read; none: all that are there.

    Raises:
        UserError: there is none, or one of ``train_subsets`` is not there.
    """
    every = (*LIBRISPEECH, *MINI_LIBRISPEECH)
    there = [subset for subset in every if (root / subset).is_dir()]
    for subset in train_subsets:
        if subset not in there or not subset.startswith("train-"):
            known = ", ".join(subset for subset in there if subset.startswith("train-")) or "none"
            raise UserError(f"there is no training subset '{subset}' in {root}; there is {known}")
    # those of Mini LibriSpeech are parts of the others
    used = [subset for subset in there if subset in LIBRISPEECH] or there
    if not used:
        raise UserError(f"no subset of LibriSpeech is in {root}; expected the layout {LAYOUT}")
    train = set(train_subsets) or set(used)
    return tuple(s for s in there if (s in train if s.startswith("train-") else s in used))


def find(root: Path, subsets: Sequence[str], jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read ``subsets`` of the corpus in ``root``."""
    found = Found()
    speakers = _read_speakers(root / SPEAKERS, found)
    corpus = corpus_name("librispeech", root)
    texts: dict[str, str] = {}
    paths: dict[str, Path] = {}
    places: dict[str, str] = {}
    for subset in subsets:
        for name, (path, text) in _read_subset(root / subset, speakers, found.problems).items():
            if name in paths:
                found.problems.append(Problem("duplicate", str(path), f"also there as {paths[name]}"))
            else:
                paths[name], texts[name], places[name] = path, text, subset
    audio, bad = check_all(paths, sampling_rate=16000, channels=1, jobs=jobs, progress=progress)
    found.problems += bad
    for split in dict.fromkeys(map(_split, subsets)):
        found.splits[split] = [], []
    for name, file in audio.items():
        recordings, supervisions = found.splits[_split(places[name])]
        recordings.append(file.recording(name))
        supervisions.append(_supervision(name, texts[name], places[name], file, speakers, corpus))
    # train, dev and test share no speaker, listed in SPEAKERS.TXT or not
    keep_apart(found, "speaker", lambda segment: str(segment.speaker))
    keep_copies_apart(found)
    absent = [subset for subset in LIBRISPEECH if subset not in subsets]
    found.notes.append(f"subsets: {', '.join(subsets)}; not used or not there: {', '.join(absent) or 'none'}")
    found.notes += _counts(found, subsets, speakers, corpus == "librispeech")
    return found


def _split(subset: str) -> str:
    return "train" if subset.startswith("train-") else SPLITS.get(subset, subset)


def _read_speakers(path: Path, found: Found) -> dict[str, Speaker]:
    """SPEAKERS.TXT: lines "ID | F or M | subset | minutes | name", comments after ";"."""
    speakers: dict[str, Speaker] = {}
    if not path.exists():
        found.notes.append(f"{path} is not there: the gender of the speakers is unknown")
        return speakers
    for number, line in enumerate(
        check_regular(path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
    ):
        if not line.strip() or line.startswith(";"):
            continue
        # a name may hold the separator: that of speaker 60 is "|CBW|Simon"
        fields = [field.strip() for field in line.split("|", 4)]
        try:
            speakers[fields[0]] = Speaker(_GENDERS[fields[1]], fields[2], float(fields[3]))
        except (KeyError, IndexError, ValueError):
            reason = "expected ID | F or M | subset | minutes | name"
            found.problems.append(Problem("line does not parse", str(path), reason, number))
    return speakers


def _read_subset(folder: Path, speakers: dict[str, Speaker], problems: list[Problem]) -> dict[str, tuple[Path, str]]:
    """Name to the audio file (there or not) and the text, of all lines of transcripts."""
    utterances: dict[str, tuple[Path, str]] = {}
    for chapter in visible(path for path in folder.glob("*/*") if path.is_dir()):
        speaker = chapter.parent.name
        listed = speakers.get(speaker)
        if listed is not None and listed.subset.split("-")[0] != folder.name.split("-")[0]:
            # train, dev and test share no speaker
            reason = f"{SPEAKERS} has speaker {speaker} in {listed.subset}"
            problems.append(Problem("speaker in another subset", str(chapter), reason))
            continue
        transcript = chapter / f"{speaker}-{chapter.name}.trans.txt"
        texts = _read_transcript(transcript, problems)
        files = {path.stem: path for path in visible(chapter.glob(any_case("flac")))}
        if texts is not None:
            for name in sorted(files.keys() - texts.keys()):
                problems.append(Problem("audio without transcript", str(files[name]), f"{transcript.name} lacks it"))
            utterances |= {name: (files.get(name, chapter / f"{name}.flac"), text) for name, text in texts.items()}
    return utterances


def _read_transcript(path: Path, problems: list[Problem]) -> dict[str, str] | None:
    """Name to text (lower case) of the good lines; None if there is no such file."""
    if not path.exists():
        problems.append(Problem("missing transcripts", str(path), "no such file, so the audio beside it is of no use"))
        return None
    prefix = path.name.removesuffix(".trans.txt") + "-"
    texts: dict[str, str] = {}
    for number, line in enumerate(
        check_regular(path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
    ):
        name, _, text = line.strip().partition(" ")
        words = " ".join(to_words(text, TextConfig()))
        if not name:
            continue
        if _NAME.fullmatch(name) is None or not name.startswith(prefix) or "\ufffd" in text:
            problems.append(Problem("line does not parse", str(path), f"expected '{prefix}0000 WORDS', UTF-8", number))
        elif not words:
            problems.append(Problem("missing transcript", str(path), f"{name} has no words", number))
        elif name in texts:
            problems.append(Problem("duplicate", str(path), f"a second line of {name}", number))
        else:
            texts[name] = words
    return texts


def _supervision(
    name: str, text: str, subset: str, file: AudioFile, speakers: dict[str, Speaker], corpus: str
) -> SupervisionSegment:
    speaker, chapter, _ = name.split("-")
    return SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=file.num_samples / file.sampling_rate,
        channel=0,
        text=text,
        language="English",
        speaker=speaker,
        gender=speakers[speaker].gender if speaker in speakers else None,
        custom={"subset": subset, "chapter": chapter, "corpus": corpus},
    )


def _counts(found: Found, subsets: Sequence[str], speakers: dict[str, Speaker], real: bool) -> list[str]:
    """Notes about what the subsets should hold and what was found."""
    readers: dict[str, set[str]] = {subset: set() for subset in subsets}
    utterances = dict.fromkeys(subsets, 0)
    hours = dict.fromkeys(subsets, 0.0)
    minutes: dict[str, float] = defaultdict(float)
    odd = 0
    for _, supervisions in found.splits.values():
        for segment in supervisions:
            subset, speaker = segment.custom["subset"], str(segment.speaker)
            readers[subset].add(speaker)
            utterances[subset] += 1
            hours[subset] += segment.duration / 3600
            minutes[speaker] += segment.duration / 60
            odd += _PLAIN.fullmatch(segment.text or "") is None
    notes = []
    if real:
        for what, published, actual in (
            ("utterances", UTTERANCES, utterances),
            ("speakers", READERS, {subset: len(names) for subset, names in readers.items()}),
            ("hours", HOURS, {subset: round(value, 1) for subset, value in hours.items()}),
        ):
            known = [subset for subset in subsets if subset in published]
            notes += differences(what, {s: published[s] for s in known}, {s: actual[s] for s in known})
    for subset in subsets:
        wrong = [
            f"{name} ({minutes[name]:.2f}, {speaker.minutes:.2f})"
            for name, speaker in speakers.items()
            if speaker.subset == subset and abs(minutes[name] - speaker.minutes) > SLACK
        ]
        if wrong:
            some = ", ".join(wrong[:SHOWN]) + (", ..." if len(wrong) > SHOWN else "")
            what = f"counts differ: minutes of {len(wrong)} speakers of {subset}"
            notes.append(f"{what} (found, in {SPEAKERS}): {some}")
    unlisted = set(minutes) - speakers.keys()
    if unlisted and speakers:
        notes.append(f"{len(unlisted)} speakers are not in {SPEAKERS}: their gender is unknown")
    if odd:
        notes.append(f"{odd} transcripts hold other characters than letters and apostrophes")
    return notes


CORPUS = Corpus(
    "librispeech",
    "LibriSpeech: read English with transcripts (free)",
    prepare_librispeech,
    options=(ListOption("train_subsets", "which train-* are train (default: all that are there)"),),
    demo="sertools.corpora.demo.librispeech",
)
