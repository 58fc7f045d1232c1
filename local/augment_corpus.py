#!/usr/bin/env python3
"""Copies of every utterance of a corpus as other voices, rooms and channels: more to train on.

    augment_corpus.py --copy speed=0.9 --copy speed=1.1 --copy noise=5..20 \\
        data/manifests/ravdess_cuts_all.jsonl.gz data/augmented/manifests
    augment_corpus.py --copy reverberation=0.2..0.8,band=300-3400 --jobs 8 CUTS OUT

A --copy is a copy of each utterance; several changes with commas between are made one after the other, and from
LOW..HIGH each utterance draws its own number.  Writes OUT/NAME_{recordings,supervisions,cuts}_all.jsonl.gz with the
utterances and their copies, and the copies' audio (FLAC) to OUT/copies.  Copies train where a fold's configuration says
`copies: all`, or names them, wherever what they are copies of trains; they are never dev or test.
"""

import argparse
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli import at_least_one, parser, progress_bar, run

# cli is first: it explains imports that fail
# isort: split

from lhotse import RecordingSet, SupervisionSet
from lhotse.cut import Cut

from sertools.augmentation.copying import Copy, make_copies, new_ids, read_copy
from sertools.augmentation.fields import is_copy
from sertools.augmentation.registry import AUGMENTATIONS
from sertools.errors import UserError
from sertools.features.audio import audio_state
from sertools.files import content_hash, json_hash, only_writer, read_json, replacing, write_json
from sertools.helptext import seed
from sertools.manifests import load_cuts, read_supervisions, write_cuts
from sertools.provenance import STAMP, Stamp, begin, made_with, require_whole, why_stale, write_stamp

COPIES, AUDIO = "copies", "audio.json"
OF_FORMER_RUN = re.compile(r"[0-9a-f]{12}")
CUTS = "_cuts_"
MANIFEST = ".jsonl.gz"
MADE_BY = "the preparation of the corpus (local/prepare_corpus.py, or prepare_table.py)"


def copy(text: str) -> Copy:
    """``NAME=VALUE[,NAME=VALUE...]``."""
    try:
        return read_copy(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    arguments = parser(__doc__)
    known = "; ".join(f"{one.name}={one.example}: {one.about}" for one in AUGMENTATIONS.values())
    arguments.add_argument("--copy", type=copy, action="append", required=True, metavar="NAME=VALUE", help=known)
    arguments.add_argument("--seed", type=seed, default=0, help="of what is drawn (default: 0)")
    arguments.add_argument(
        "--jobs", type=at_least_one, default=os.cpu_count() or 2, help="threads (default: %(default)s)"
    )
    arguments.add_argument("cuts", type=Path, metavar="CUTS", help="NAME_cuts_all.jsonl.gz, with labels")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder for manifests and audio")
    options = arguments.parse_args()
    # as recordings name their files: not through what a link leads to
    options.out = Path(os.path.abspath(options.out))
    names = [one.name for one in options.copy]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"--copy {twice} is given twice, and both would be the same; leave one out")
    require_whole(options.cuts, MADE_BY)
    files = {kind: manifest_name(options.cuts, kind) for kind in ("recordings", "supervisions", "cuts")}
    if options.cuts.resolve().parent == options.out.resolve():
        raise UserError(f"{options.out} has the manifest that is copied; give another folder as OUT")
    refuse_others(options.out, files["cuts"])
    cuts = list(load_cuts(options.cuts))
    check_plain(cuts, options.cuts)
    check_same(cuts, options.cuts.with_name(files["supervisions"]))

    # files whose audio was replaced are other speech, though the manifest is the same
    inputs = {"cuts": content_hash(options.cuts), "audio": json_hash([audio_state(cut) for cut in cuts])}
    stamp = Stamp({"copies": names, "seed": options.seed, "manifest": options.cuts.name}, inputs)
    with only_writer(options.out):
        # what was copied by other settings lies in another folder
        folder = options.out / COPIES / stamp.key[:12]
        reason = why_stale(options.out, stamp) or lost_audio(options.out)
        if reason is None:
            logging.info("%s is up to date", options.out)
            remove_former(folder)
            return
        logging.info("making %s: %s", options.out, reason)
        new_ids(cuts, options.copy)
        begin(options.out)
        with progress_bar("copying", "utterances") as progress:
            made = make_copies(cuts, options.copy, folder, seed=options.seed, jobs=options.jobs, progress=progress)
        write_manifests([*cuts, *(one.cut for one in made)], options.out, files)
        sizes = {str(path): path.stat().st_size for path in (Path(one.cut.recording.sources[0].source) for one in made)}
        write_json(options.out / AUDIO, sizes)
        write_stamp(options.out, stamp, [*files.values(), AUDIO])
        remove_former(folder)
    hours = sum(one.cut.duration for one in made) / 3600
    logging.info("%s: %d utterances and %d copies (%.2f h)", options.out / files["cuts"], len(cuts), len(made), hours)
    if softer := sum(one.softer for one in made):
        logging.info("%d copies were made softer, for they would have clipped", softer)


def manifest_name(cuts: Path, kind: str) -> str:
    """What another manifest of the same corpus is called."""
    name, there, split = cuts.name.rpartition(CUTS)
    if not there or not name or not split.endswith(MANIFEST):
        raise UserError(f"{cuts} is not called NAME_cuts_all.jsonl.gz, so nobody knows the corpus's name; rename it")
    return f"{name}_{kind}_{split}"


def refuse_others(out: Path, name: str) -> None:
    """Raise UserError if a folder has the manifests of another corpus, or such as this program has not written."""
    if (out / name).exists():
        made = made_with(out / name)
        # a run that was stopped has left a stamp that says nothing of its settings
        if not (out / STAMP).exists() or (made is not None and "copies" not in made):
            raise UserError(f"{out / name} is there, and not made by augment_corpus.py; give a new folder as OUT")
    other = next((path for path in sorted(out.glob(f"*{CUTS}*{MANIFEST}")) if path.name != name), None)
    if other is not None:
        raise UserError(f"{other} is of another corpus; give each corpus a folder of its own as OUT")


def check_plain(cuts: Sequence[Cut], path: Path) -> None:
    """Raise UserError if there are copies among the cuts."""
    copied = next((cut.id for cut in cuts if is_copy(cut)), None)
    if copied is not None:
        raise UserError(f"{path} has copies already, such as {copied}; give the manifest without them")


def check_same(cuts: Sequence[Cut], path: Path) -> None:
    """Raise UserError if the supervisions beside the cuts, from which folds are made, say something else."""
    if not path.exists():
        return
    told = {one.id: one for one in read_supervisions(path, MADE_BY)}
    if odd := told.keys() ^ {one.id for cut in cuts for one in cut.supervisions}:
        raise UserError(
            f"{min(odd)} is in {path} or in the cuts beside it, and not in both: write the correction into both, or "
            "prepare the corpus again"
        )
    for cut in cuts:
        for one in cut.supervisions:
            other = told[one.id]
            if (one.speaker, one.custom) != (other.speaker, other.custom):
                raise UserError(
                    f"{path} and the cuts beside it differ about {one.id} (speaker or labels), and copies are made of "
                    "the cuts: write the correction into both, or prepare the corpus again"
                )


def lost_audio(out: Path) -> str | None:
    """Say which file of a copy is gone, or has another size than was written; None: all are there."""
    for name, size in read_json(out / AUDIO, "local/augment_corpus.py").items():
        path = Path(name)
        if not path.is_relative_to(out):
            return f"{out} was moved: its manifests name {path}"
        if not path.is_file() or path.stat().st_size != size:
            return f"{path} is missing or damaged"
    return None


def write_manifests(cuts: Sequence[Cut], out: Path, files: Mapping[str, str]) -> None:
    """Recordings, supervisions and cuts, by the names of their files."""
    sets = {
        "recordings": RecordingSet.from_recordings({cut.recording.id: cut.recording for cut in cuts}.values()),
        "supervisions": SupervisionSet.from_segments(s.with_offset(c.start) for c in cuts for s in c.supervisions),
    }
    for kind, manifest in sets.items():
        with replacing(out / files[kind]) as temporary:
            manifest.to_file(temporary)
    write_cuts(cuts, out / files["cuts"])


def remove_former(kept: Path) -> None:
    """Remove the audio that runs of this program with other settings have left beside that of a folder."""
    for other in kept.parent.iterdir():
        if other != kept and OF_FORMER_RUN.fullmatch(other.name) and other.is_dir() and not other.is_symlink():
            shutil.rmtree(other)


if __name__ == "__main__":
    run(main)
