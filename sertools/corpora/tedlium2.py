"""TED-LIUM release 2: 1495 + 8 + 11 TED talks with transcripts.

Rousseau, Deleglise and Esteve, 2014, LREC; openslr 19.  Used are
``{train,dev,test}/sph/<talk>.sph`` (NIST SPHERE, 16 kHz, 16-bit PCM) and
``{train,dev,test}/stm/<talk>.stm``.  The text becomes that of Kaldi's ``egs/tedlium/s5_r2`` (see
:mod:`sertools.corpora.stm`), and the segments of train are padded by 0.15 s before and 0.1 s
after, as there.  Gaps (``ignore_time_segment_in_scoring``) and segments without words are left
out and counted.

lhotse reads names that end in ``.sph`` with the program sph2pipe only, though libsndfile reads
uncompressed SPHERE.  So the manifests name links, ``OUT/audio/<split>/<talk>.nist``.
"""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lhotse import SupervisionSegment

from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import any_case, corpus_name, find_root, listing_hash, visible
from sertools.corpora.leaks import keep_apart, keep_copies_apart
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.problems import Problem
from sertools.corpora.stm import Segment, pad, pseudo_speakers, read_stm
from sertools.provenance import Stamp

VERSION = 2
LAYOUT = "TEDLIUM_release2/{train,dev,test}/{sph,stm}"
SPLITS = ("train", "dev", "test")
PAD_BEFORE, PAD_AFTER = 0.15, 0.10  # seconds, Kaldi s5_r2, train only
OVERHANG = 0.5  # seconds that a segment may end after its recording and be cut
PSEUDO_SPEAKER = 180.0  # seconds, Kaldi s5_r2
TALKS = {"train": 1495, "dev": 8, "test": 11}
SEGMENTS = {"dev": 507, "test": 1155}


def prepare_tedlium2(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``tedlium2_{recordings,supervisions,cuts}_{train,dev,test}.jsonl.gz``.

    ``custom`` of a supervision: talk, stm_speaker, pseudo_speaker (pieces of at most 180 s, for
    i-vectors), stm_start and stm_end (seconds, before padding), corpus.  The speaker is the talk.

    Args:
        corpus_dir: ``TEDLIUM_release2`` or its parent.
        output_dir: for manifests, links to the audio, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, or it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["TEDLIUM_release2"], "train", LAYOUT)
    audio_dir = Path(output_dir) / "audio"
    stamp = Stamp(
        {"corpus_dir": str(root), "audio": os.path.abspath(audio_dir), "skip_bad": skip_bad, "version": VERSION},
        {
            "corpus": listing_hash(
                root, [f"{split}/{kind}/{any_case(kind)}" for split in SPLITS for kind in ("sph", "stm")]
            )
        },
    )
    # at every run: the stamp does not cover links
    links = _link(root, audio_dir)
    return prepare("tedlium2", lambda: find(root, links, jobs, progress), output_dir, stamp, skip_bad)


def find(root: Path, links: dict[str, Path], jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus in ``root``; ``links`` are the names of audio files by "<split>/<talk>"."""
    found = Found()
    ignored: Counter[str] = Counter()
    segments: dict[str, list[Segment]] = {}
    for split in SPLITS:
        segments |= _read_split(root, split, found.problems, ignored)
    paths = {name: root / name.replace("/", "/sph/") for name in segments.keys() | links.keys()}
    paths = {name: path.with_name(path.name + ".sph") for name, path in paths.items()}
    for name in sorted(links.keys() - segments.keys()):
        found.problems.append(Problem("audio without label", str(paths[name]), "no STM file has segments of this talk"))
    audio, bad = check_all(paths, sampling_rate=16000, channels=1, jobs=jobs, progress=progress)
    found.problems += bad
    corpus = corpus_name("tedlium2", root)
    for split in SPLITS:
        recordings, supervisions = [], []
        for name in sorted(audio.keys() & segments.keys()):
            if name.startswith(f"{split}/"):
                made = _supervisions(split, segments[name], audio[name], corpus, found.problems, ignored)
                supervisions += made
                recordings += [audio[name].recording(name.split("/")[1], links[name])] if made else []
        found.splits[split] = recordings, supervisions
    keep_apart(found, "talk", lambda segment: segment.recording_id)
    keep_copies_apart(found)
    found.notes += [f"{count} {what}" for what, count in sorted(ignored.items()) if count]
    if corpus == "tedlium2":
        talks = {split: len(recordings) for split, (recordings, _) in found.splits.items()}
        counts = {split: len(found.splits[split][1]) for split in SEGMENTS}
        found.notes += differences("talks", TALKS, talks) + differences("segments", SEGMENTS, counts)
    return found


def _link(root: Path, audio_dir: Path) -> dict[str, Path]:
    """Links ``<split>/<talk>.nist`` to all audio files, by "<split>/<talk>"."""
    links = {}
    for split in SPLITS:
        for path in visible((root / split / "sph").glob(any_case("sph"))):
            link = audio_dir / split / f"{path.stem}.nist"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not (link.is_symlink() and os.readlink(link) == str(path)):
                link.unlink(missing_ok=True)
                link.symlink_to(path)
            links[f"{split}/{path.stem}"] = link
    return links


def _read_split(root: Path, split: str, problems: list[Problem], ignored: Counter[str]) -> dict[str, list[Segment]]:
    """The segments of a split by "<split>/<talk>", in order of time."""
    for kind in ("sph", "stm"):
        if not (root / split / kind).is_dir():
            problems.append(Problem("missing folder", str(root / split / kind), f"{LAYOUT} is expected"))
    by_id: dict[str, Segment] = {}
    for path in visible((root / split / "stm").glob(any_case("stm"))):
        segments, gaps, bad = read_stm(path)
        problems += bad
        ignored[f"gaps left out of {split}"] += gaps
        for segment in segments:
            if not segment.text:
                ignored[f"segments without words left out of {split}"] += 1
            elif segment.id in by_id:
                problems.append(Problem("duplicate", str(path), f"a second segment {segment.id}", segment.line))
            else:
                by_id[segment.id] = segment
    talks: dict[str, list[Segment]] = {}
    for segment in sorted(by_id.values(), key=lambda segment: (segment.talk, segment.start, segment.end)):
        talks.setdefault(f"{split}/{segment.talk}", []).append(segment)
    return talks


def _supervisions(
    split: str,
    segments: list[Segment],
    audio: AudioFile,
    corpus: str,
    problems: list[Problem],
    ignored: Counter[str],
) -> list[SupervisionSegment]:
    """The supervisions of one talk."""
    duration = audio.num_samples / audio.sampling_rate
    inside = []
    for segment in segments:
        if segment.start >= duration or segment.end > duration + OVERHANG:
            reason = f"{segment.start} to {segment.end} s, the audio has {duration:.2f} s"
            problems.append(Problem("segment outside of the audio", str(segment.file), reason, segment.line))
            continue
        if segment.end > duration:
            ignored[f"segments of {split} cut at the end of the audio"] += 1
        inside.append(replace(segment, end=min(segment.end, duration)))
    before, after = (PAD_BEFORE, PAD_AFTER) if split == "train" else (0.0, 0.0)
    times = pad(inside, before, after, duration) if split == "train" else [(s.start, s.end) for s in inside]
    usable = []
    for segment, (start, end) in zip(inside, times, strict=True):
        if start < end:
            usable.append((segment, round(start, 4), round(end, 4)))
        else:
            reason = f"{segment.start} to {segment.end} s lies inside another segment"
            problems.append(Problem("overlapping segments", str(segment.file), reason, segment.line))
    pieces = pseudo_speakers(segments[0].talk, [end - start for _, start, end in usable], PSEUDO_SPEAKER)
    ignored[f"segments of {split} without a gender"] += sum(segment.gender is None for segment, _, _ in usable)
    return [
        SupervisionSegment(
            id=segment.id,
            recording_id=segment.talk,
            start=start,
            duration=round(end - start, 4),
            channel=0,
            text=segment.text,
            language="English",
            speaker=segment.talk,
            gender=segment.gender,
            custom={
                "talk": segment.talk,
                "stm_speaker": segment.speaker,
                "pseudo_speaker": piece,
                "stm_start": segment.start,
                "stm_end": segment.end,
                "corpus": corpus,
            },
        )
        for (segment, start, end), piece in zip(usable, pieces, strict=True)
    ]


CORPUS = Corpus(
    "tedlium2",
    "TED-LIUM 2: talks with transcripts (free)",
    prepare_tedlium2,
    demo="sertools.corpora.demo.tedlium2",
)
