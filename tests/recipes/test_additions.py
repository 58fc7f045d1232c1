"""A corpus, a feature, a system, a metric and a protocol are each one file, one registry line and one configuration."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "additions"
FILES = {
    "corpora/toy.py": HERE / "toy_corpus.py",
    "features/utterance/loudness.py": ROOT / "tests/features/toy_kind.py",
    "emotion/nearest_mean.py": ROOT / "tests/emotion/nearest_mean.py",
    "evaluation/stats/kappa.py": HERE / "kappa.py",
    "partitions/protocols/toy.py": HERE / "toy_protocol.py",
}
"""What is added to sertools."""
LINES = {
    "corpora/registry.py": ("CORPORA: dict[str, str] = {\n", '    "toy": "sertools.corpora.toy",\n', ""),
    "features/kinds.py": ("for kind in (", "LOUDNESS, ", "features.utterance.loudness import LOUDNESS"),
    "emotion/kinds.py": ("KINDS: dict[str, str] = {\n", '    "nearest_mean": "sertools.emotion.nearest_mean",\n', ""),
    "evaluation/stats/registry.py": ("(UA, WA, ", "KAPPA, ", "evaluation.stats.kappa import KAPPA"),
    "partitions/protocols/__init__.py": ("_ALL = (STRICT, ", "TOY, ", "partitions.protocols.toy import TOY"),
}
"""A registry, the place of the line in it, the line, and its import."""
CONFIGURATIONS = {
    "conf/folds/toy.yaml": "class_set: two\nprotocol: toy\n",
    "conf/features/loudness.yaml": "loudness: {rows: utterance}\n",
    "conf/toy/nearest.yaml": "system: nearest_mean\nfeatures: [loudness]\nsharpness: 20\n",
}


def add_all(project: Path) -> None:
    """A copy of the project with the five additions, and a recipe that uses them."""
    for part in ("path.sh", "utils", "local"):
        (project / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "sertools", project / "sertools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "egs/common", project / "egs/common")
    for name, source in FILES.items():
        shutil.copyfile(source, project / "sertools" / name)
    # needs of a kind come by --input; this recipe gives none
    loudness = project / "sertools/features/utterance/loudness.py"
    text = loudness.read_text()
    text = text.replace('float(given.inputs["gain"].read_text())', "10.0")
    loudness.write_text(text.replace(', needs=(Need("gain", "a file with a factor", "you"),)', ""))
    for name, (place, line, imported) in LINES.items():
        path = project / "sertools" / name
        text = path.read_text()
        assert text.count(place) == 1, (name, place)
        text = text.replace(place, place + line)
        if imported:
            text = text.replace("from sertools.", f"from sertools.{imported}\nfrom sertools.", 1)
        path.write_text(text)
    recipe = project / "egs/toy"
    recipe.mkdir()
    for name, text in CONFIGURATIONS.items():
        (recipe / name).parent.mkdir(parents=True, exist_ok=True)
        (recipe / name).write_text(text)
    shutil.copyfile(HERE / "run.sh", recipe / "run.sh")
    for name in ("cmd.sh", "path.sh"):
        shutil.copyfile(ROOT / "egs/ravdess" / name, recipe / name)


def environment(project: Path) -> Path:
    """An environment in which the copy of sertools comes before the installed one."""
    env = project / "env"
    packages = env / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    (env / "bin").mkdir()
    base = Path(sys.executable).resolve()
    (env / "bin/python3").symlink_to(base)
    (env / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    installed = next(Path(p) for p in sys.path if p.startswith(sys.prefix) and p.endswith("site-packages"))
    (packages / "both.pth").write_text(f"{project}\nimport site; site.addsitedir({str(installed)!r})\n")
    return env


def make_corpus(folder: Path) -> None:
    """Loud and soft noise of eight speakers."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(64):
        speaker, label = number % 8, ("loud", "soft")[number // 8 % 2]
        level = (0.2 if label == "loud" else 0.05) * generator.uniform(0.8, 1.2)
        soundfile.write(
            folder / f"s{speaker}_{label}_{number}.wav", level * generator.normal(0, 1, 3200).clip(-3, 3), 16000
        )


def test_five_additions_go_through_a_recipe_to_a_page(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    add_all(project)
    make_corpus(tmp_path / "corpus")
    done = subprocess.run(
        ["bash", "run.sh", "--corpus", str(tmp_path / "corpus")],
        cwd=project / "egs/toy",
        env={**os.environ, "SERTOOLS_ENV": str(environment(project))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = project / "egs/toy/exp/nearest_toy/results"
    values = json.loads((results / "results.json").read_text())["test"]
    scores = {one["name"]: one["pooled"]["value"] for one in values["metrics"]}
    assert values["corpus"] == "toy"
    assert values["folds"] == ["only"]
    assert scores["UA"] > 0.9
    assert scores["kappa"] > 0.8
    page = (results / "report.html").read_text()
    for words in ("kappa", "A TOY: one fold", "A TOY: nearest means"):
        assert words in page
