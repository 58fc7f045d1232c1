"""Who imports whom: no code of a paper in a common room, and rooms that know neither files nor emotions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "sertools"
SYSTEMS = tuple(f"sertools.emotion.{path.parent.name}" for path in sorted(ROOT.glob("emotion/*/__init__.py")))
OF_PAPERS = (*SYSTEMS, "sertools.models.cnn14", "sertools.models.tdnnf", "sertools.models.speech_text",
             "sertools.models.columns", "sertools.asr", "sertools.a2w")  # fmt: skip
COMMON = ("emotion/experiment.py", "emotion/system.py", "emotion/inputs.py", "emotion/kinds.py", "evaluation", "runs",
          "partitions", "data", "training", "status", "inspection", "corpora", "features/store.py",
          "features/blocks.py", "features/access.py", "features/pipeline.py")  # fmt: skip


def modules(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Modules that a file names in import statements, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("place", COMMON)
def test_common_rooms_know_no_paper(place: str) -> None:
    for path in modules(place):
        known = [name for name in imports(path) if name.startswith(OF_PAPERS)]
        assert known == [], f"{path.relative_to(ROOT)} imports {', '.join(known)}"


@pytest.mark.parametrize(
    ("place", "never"),
    [
        ("models", ("sertools.training", "sertools.emotion", "sertools.asr", "sertools.corpora", "sertools.runs",
                    "sertools.evaluation", "sertools.manifests", "lhotse")),
        ("lfmmi", ("sertools.training", "sertools.emotion", "sertools.corpora", "sertools.runs", "sertools.evaluation",
                   "sertools.manifests", "lhotse")),
        ("training", ("sertools.emotion", "sertools.corpora", "sertools.lfmmi", "sertools.partitions")),
        ("partitions", ("torch", "sertools.emotion", "sertools.features", "sertools.evaluation", "sertools.corpora")),
        ("runs", ("torch", "sertools.emotion", "sertools.features")),
        ("corpora", ("torch", "sertools.emotion", "sertools.training", "sertools.models")),
        ("evaluation/stats", ("torch", "sertools.emotion", "sertools.features", "lhotse")),
    ],
)  # fmt: skip
def test_rooms_stay_what_they_are(place: str, never: tuple[str, ...]) -> None:
    for path in modules(place):
        known = [name for name in imports(path) if any(name == one or name.startswith(f"{one}.") for one in never)]
        assert known == [], f"{path.relative_to(ROOT)} imports {', '.join(known)}"


def test_local_knows_no_corpus_by_name() -> None:
    names = [path.stem for path in (ROOT / "corpora").glob("*.py")]
    for path in sorted((ROOT.parent / "local").glob("*.py")):
        known = [name for name in imports(path) if name.startswith("sertools.corpora.") and name.split(".")[2] in names]
        allowed = ("registry", "class_sets", "corpus", "problems", "manifests")
        assert [name for name in known if name.split(".")[2] not in allowed] == [], path.name
