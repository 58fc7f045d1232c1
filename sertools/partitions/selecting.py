"""The cuts of parts of a fold, as a manifest of their own."""

import logging
from collections.abc import Sequence
from pathlib import Path

from sertools.errors import UserError
from sertools.files import content_hash, only_writer
from sertools.manifests import read_cuts, write_cuts
from sertools.partitions.folds import FOLDS, Fold, read_folds
from sertools.provenance import Stamp, begin, why_stale, write_stamp

CUTS = "cuts.jsonl.gz"

log = logging.getLogger(__name__)


def select_cuts(cuts: Sequence[Path], folds: Path, fold: Fold | None, parts: Sequence[str], output: Path) -> Path:
    """Write the cuts of some parts of a fold, in the order of the manifests, unless they are there and up to date.

    Args:
        cuts: manifests.
        folds: folder of folds.json.
        fold: one of them; None for all utterances of the folds.
        parts: train, dev, test; none without a fold.
        output: folder for the manifest.

    Raises:
        UserError: the manifests lack an utterance of the fold.
    """
    if fold is None:
        name, wanted = "all folds", set(read_folds(folds).labels)
    else:
        of = {"train": fold.train, "dev": fold.dev, "test": fold.test}
        name, wanted = f"the fold {fold.name}", {utterance for part in parts for utterance in of[part]}
    inputs = {f"cuts{number or ''}": content_hash(path) for number, path in enumerate(cuts)}
    settings = {"fold": "" if fold is None else fold.name, "parts": sorted(parts)}
    stamp = Stamp(settings, inputs | {"folds": content_hash(folds / FOLDS)})
    with only_writer(output):
        reason = why_stale(output, stamp)
        if reason is None:
            log.info("%s is up to date", output)
            return output / CUTS
        chosen = [cut for path in cuts for cut in read_cuts(path) if cut.id in wanted]
        if len(chosen) < len(wanted):
            raise UserError(
                f"{len(wanted) - len(chosen)} utterances of {name} are not in {', '.join(map(str, cuts))}; folds and "
                "cuts are of different manifests: run the stages for manifests and folds again"
            )
        begin(output)
        write_cuts(chosen, output / CUTS)
        write_stamp(output, stamp, [CUTS])
    log.info("%s: %d cuts of %s of %s", output / CUTS, len(chosen), ", ".join(parts) or "all parts", name)
    return output / CUTS
