"""The page of a search."""

from collections.abc import Mapping, Sequence
from typing import Any

from sertools.evaluation.score.report import page
from sertools.evaluation.score.tables import DEPENDENT, SYNTHETIC
from sertools.evaluation.stats.metric import Metric
from sertools.runs.folder import read_run, remarks, run_files
from sertools.tuning.search import CHOSEN, Search, Trial

MOST_FOLDS = 12


def to_html(search: Search, trials: Sequence[Trial], plan: Mapping[str, Any], metric: Metric) -> str:
    """How many were tried, what each gave, which was taken, and whether test was scored."""
    names = list(plan["space"])
    runs = [read_run(name, folder) for name, folder in run_files(search.folder(trials[0].number)).items()]
    corpora = sorted(search.folds.corpora) if search.folds.corpora else []
    said = [SYNTHETIC.format(corpus=corpus) for corpus in corpora if corpus.endswith("-synthetic")]
    said += [DEPENDENT] if search.folds.speaker_dependent else []
    said += [line for line in (*search.folds.remarks, *remarks(runs)) if line not in said]
    folds = [fold.name for fold in search.folds.folds]
    shown = folds if len(folds) <= MOST_FOLDS else []
    rows = [
        [f"trial {one.number}", one.shown, *(str(one.settings[name]) for name in names),
         *(metric.show(one.by_fold[name]) for name in shown), f"{one.seconds / 60:.{1 if one.seconds > 60 else 2}f}"]
        for one in trials
    ]  # fmt: skip
    tested = plan.get("tested")
    return page("sweep.html").render(
        title=search.directory.resolve().name, tried=len(trials), planned=plan["trials"], method=plan["method"],
        folds=len(folds), seeds=len(search.seeds), best=trials[0], metric=metric.name,
        header=["", metric.name, *names, *shown, "minutes"], rows=rows,
        tested=f"Test was scored once, for the chosen configuration: {tested['output']}." if tested else
               "Test was not scored; sertools sweep --test DIR does so, once.",
        remarks=list(dict.fromkeys(said)), chosen=(search.directory / CHOSEN).read_text(encoding="utf-8"),
    )  # fmt: skip
