"""The cuts of parts of a fold, as a manifest of their own."""

import logging
from collections.abc import Sequence
from pathlib import Path

from sertools.errors import UserError
from sertools.files import content_hash, only_writer
from sertools.manifests import read_cuts, write_cuts
from sertools.partitions.folds import FOLDS, Fold
from sertools.provenance import Stamp, begin, why_stale, write_stamp

CUTS = "cuts.jsonl.gz"

log = logging.getLogger(__name__)


def select_cuts(cuts: Path, folds: Path, fold: Fold, parts: Sequence[str], output: Path) -> Path:
    """Write the cuts of some parts of a fold, in the order of the manifest, unless they are there and up to date.

    Args:
        cuts: manifest.
        folds: folder of folds.json.
        fold: one of them.
        parts: train, dev, test.
        output: folder for the manifest.

    Raises:
        UserError: the manifest lacks an utterance of the fold.
    """
    of = {"train": fold.train, "dev": fold.dev, "test": fold.test}
    wanted = {utterance for part in parts for utterance in of[part]}
    inputs = {"cuts": content_hash(cuts), "folds": content_hash(folds / FOLDS)}
    stamp = Stamp({"fold": fold.name, "parts": sorted(parts)}, inputs)
    with only_writer(output):
        reason = why_stale(output, stamp)
        if reason is None:
            log.info("%s is up to date", output)
            return output / CUTS
        chosen = [cut for cut in read_cuts(cuts) if cut.id in wanted]
        if len(chosen) < len(wanted):
            raise UserError(
                f"{len(wanted) - len(chosen)} utterances of the fold {fold.name} are not in {cuts}; folds and "
                "cuts are of different manifests: run the stages for manifests and folds again"
            )
        begin(output)
        write_cuts(chosen, output / CUTS)
        write_stamp(output, stamp, [CUTS])
    log.info("%s: %d cuts of %s of the fold %s", output / CUTS, len(chosen), ", ".join(parts), fold.name)
    return output / CUTS
