"""Mutations stay what they are while the code goes on; tests/mutation.md says how they are run."""

import ast
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = yaml.safe_load(Path(__file__).with_name("mutations.yaml").read_text(encoding="utf-8"))


def test_the_old_text_stands_once_and_the_new_one_is_a_program() -> None:
    for entry in ENTRIES:
        text = (ROOT / entry["file"]).read_text(encoding="utf-8")
        assert text.count(entry["old"]) == 1, entry["name"]
        assert entry["new"] != entry["old"], entry["name"]
        ast.parse(text.replace(entry["old"], entry["new"]), entry["name"])


def test_what_survived_changes_nothing_that_counts() -> None:
    lines = Path(__file__).with_name("results.tsv").read_text(encoding="utf-8").splitlines()
    killed = [line for line in lines if line.split("\t")[1] == "killed"]
    assert len(lines) - len(killed) == len([entry for entry in ENTRIES if entry.get("equivalent")])
    told = (ROOT / "tests/mutation.md").read_text(encoding="utf-8")
    assert f"All {len(lines)}: {len(killed)} were seen killed" in told


def test_the_tests_are_there() -> None:
    assert len({entry["name"] for entry in ENTRIES}) == len(ENTRIES)
    for test in {test for entry in ENTRIES for test in entry["tests"]}:
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text(encoding="utf-8"), test
