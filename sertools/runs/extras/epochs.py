"""Scores of dev and of test at every epoch, where runs scored both (S5, figure 2): never to choose by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.runs.extras.extra import Extra
from sertools.runs.folder import HISTORY, MADE_BY, TEST_KEY, dev_metric, is_number, read_history
from sertools.runs.predictions import Predictions


class Epochs:
    """The main metric on dev and test by epoch, as a table."""

    name = "epochs"
    files = (HISTORY,)
    given: tuple[str, ...] = ()
    made_by = MADE_BY

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        paths = [folder / HISTORY for folder in folders.values() if (folder / HISTORY).exists()]
        histories = {path: read_history(path) for path in paths}
        watched = [path for path, found in histories.items() if any(_has_test(entry) for entry in found)]
        if not watched:
            return None
        if len(watched) < len(folders):
            raise UserError(f"only {len(watched)} of {len(folders)} runs scored test at every epoch; train all alike")
        rows: dict[int, list[tuple[float, float]]] = {}
        metric = None
        for path, history in histories.items():
            for entry in history:
                metric, dev = dev_metric(entry)
                test = entry.get(TEST_KEY + metric.dev_key.removeprefix("dev_")) if metric else None
                if dev is None or test is None or not is_number(test):
                    raise UserError(
                        f"{path}: epoch {entry['epoch']} has no score of test and dev; train this run again"
                    )
                rows.setdefault(int(entry["epoch"]), []).append((dev, float(test)))
        assert metric is not None
        # runs that stopped early have fewer epochs
        values: list[dict[str, Any]] = [
            {
                "epoch": epoch, "runs": len(pairs), "metric": metric.name,
                "dev": sum(dev for dev, _ in pairs) / len(pairs), "test": sum(test for _, test in pairs) / len(pairs),
            }
            for epoch, pairs in sorted(rows.items())
        ]  # fmt: skip
        return Extra(
            title="Scores by epoch",
            caption=f"{metric.name} at every epoch, the mean of the runs that had it. Test is shown for S5's figure 2 "
            "only: epochs are chosen on dev, and the best value in its column is no result.",
            header=("epoch", "runs", f"{metric.name} dev", f"{metric.name} test (not for choosing)"),
            rows=tuple((str(r["epoch"]), str(r["runs"]), *(metric.show(r[part]) for part in ("dev", "test")))
                       for r in values),
            values=values,
        )  # fmt: skip


def _has_test(entry: Mapping[str, Any]) -> bool:
    return any(name.startswith(TEST_KEY) for name in entry)
