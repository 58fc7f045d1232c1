#!/usr/bin/env python3
"""Damage the files of a finished run, one kind after the other: cut to half, cut to nothing, one bit flipped.

    tests/chaos/damage.py --recipe iemocap

Each file is damaged alone, with its time of change as it was, and the later stage that reads it is run
alone: it must refuse it with the file, what is wrong and who makes it.  Then files of different folders
are damaged together, and all of the recipe is run: each must be found, named and made again, and at the
end everything must be as it was.  Prints a table; exit code 1 if anything is not so.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos import DEMOS, differences, logs, make_demo, set_aside, snapshot
from quick_programs import quick_environment
from recipe_copy import Recipe

DAMAGE = ("half", "nothing", "flipped")


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: for people.
        pattern: the first file that matches it, in the recipe's folder.
        stage: the stage that reads it, run alone; empty where none does.
        says: what that says; a flipped bit is not seen by the stage if it is ``not_flipped``.
        group: files of one group are damaged together: no two of them are of one folder, and none has to be
            made again for another's sake.
        options: more options of the stage, with which it has work to do: else it does not read the file.
        undo: a stamp of the stage, removed for the same reason.
    """

    name: str
    pattern: str
    stage: str = ""
    says: str = ""
    not_flipped: bool = False
    group: int = 0
    options: tuple[str, ...] = ()
    undo: str = ""


_MORE = ("--num-seeds", "3")
_TWO = ("--num-seeds", "2")
_RUN = "exp/demo_small_chaos/fold_{}/seed_{}"
_S4 = "exp/demo_s4_asr_ser_chaos_from_recogniser/fold_{}/seed_1"
KINDS = {
    "iemocap": (
        # audio has no checksum but in the demo corpus
        Kind(
            "audio of the demo corpus", "data/demo/corpus/*/Session1/**/*.wav", "1", "audio", not_flipped=True, group=4
        ),
        Kind("its stamp", "data/demo/corpus/stamp.json", group=1),
        Kind("cuts of the corpus", "data/demo/manifests/iemocap_cuts_all.jsonl.gz", "3", "the preparation stage"),
        Kind("supervisions", "data/demo/manifests/iemocap_supervisions_all.jsonl.gz", "2", "preparation", group=1),
        Kind("counts", "data/demo/manifests/counts.json", group=2),
        Kind("their stamp", "data/demo/manifests/stamp.json", "3", "the preparation stage", group=3),
        Kind("folds", "data/demo/folds/chaos/folds.json", "6", "make_folds.py"),
        Kind("their stamp", "data/demo/folds/chaos/stamp.json", "6", "make_folds.py", group=1),
        Kind("block of features", "data/demo/mfcc/block-00001.lca", "6", "the feature stage", options=_MORE),
        Kind(
            "its record", "data/demo/mfcc/block-00002.json", "6", "run the stage that made it", group=1, options=_MORE
        ),
        Kind("cuts with features", "data/demo/mfcc/cuts.jsonl.gz", "4", "the feature stage", group=2),
        Kind("their stamp", "data/demo/mfcc/stamp.json", "4", "the feature stage", group=3),
        Kind("i-vector model", "data/demo/ivector/chaos/random1/extractor/model/model.safetensors", "6", "i-vector"),
        Kind("its info", "data/demo/ivector/chaos/random2/extractor/model/info.json", "6", "i-vector"),
        Kind("its history", "data/demo/ivector/chaos/random3/extractor/history.jsonl"),
        Kind(
            "block of i-vectors",
            "data/demo/ivector/chaos/random1/block-00000.lca",
            "6",
            "i-vector extraction stage",
            group=5,
            options=_MORE,
        ),
        Kind("cuts with i-vectors", "data/demo/ivector/chaos/random2/cuts.jsonl.gz", "6", "i-vectors"),
        Kind("speaker identification", "data/demo/ivector/speakers/speakers.json", "7", "identify_speakers.py"),
        Kind("its plot", "data/demo/ivector/speakers/speakers.png", "7", "identify_speakers.py", group=1),
        Kind("predictions", f"{_RUN.format('random1', 1)}/predictions.csv", "7", "the training stage"),
        Kind("history", f"{_RUN.format('random1', 2)}/history.jsonl", "7", "the training stage"),
        Kind("weights", f"{_RUN.format('random2', 1)}/checkpoint/model.safetensors", "7", "the training stage"),
        Kind("their info", f"{_RUN.format('random2', 2)}/checkpoint/info.json", "7", "the training stage"),
        Kind("their configuration", f"{_RUN.format('random3', 1)}/checkpoint/config.yaml", "7", "the training stage"),
        Kind("stamp of a training", f"{_RUN.format('random3', 2)}/stamp.json", "7", "the training stage"),
        Kind("copy of an extractor", "exp/demo_small_chaos/fold_random1/extractor/model.safetensors", group=5),
        Kind("table", "exp/demo_small_chaos/results/results.csv", group=3),
        Kind("page", "exp/demo_small_chaos/results/report.html", group=1),
        Kind("stamp of the results", "exp/demo_small_chaos/results/stamp.json", group=2),
    ),
    "tedlium2": (
        Kind("cuts of the corpus", "data/demo/manifests/tedlium2_cuts_train.jsonl.gz", "2", "made by|made with|run"),
        Kind("phones", "data/demo/lang/phones.txt", "6", "the lang stage"),
        Kind("lexicon", "data/demo/lang/lexiconp.txt", "7", "the lang stage", group=1),
        Kind("its record", "data/demo/lang/lang.json", "8", "prepare_lang.py", group=2),
        Kind("its stamp", "data/demo/lang/stamp.json", "6", "the lang stage", group=3),
        Kind("word language model", "data/demo/lm/lm.arpa.gz", "8", "make_word_lm.py"),
        Kind(
            "block of features",
            "data/demo/mfcc/train/block-00000.lca",
            "4",
            "the feature stage",
            undo="exp/demo_ivector/stamp.json",
        ),
        Kind("i-vector model", "exp/demo_ivector/model/model.safetensors", "5", "i-vector training stage"),
        Kind(
            "block of i-vectors",
            "data/demo/ivector/dev/block-00000.lca",
            "8",
            "i-vector extraction stage",
            undo="exp/demo_tdnnf_demo/decode_dev/stamp.json",
        ),
        Kind("cuts with i-vectors", "data/demo/ivector/train/cuts.jsonl.gz", "7", "the feature stage"),
        Kind("denominator graph", "data/demo/graphs/denominator.safetensors", "8", "graphs", group=0),
        Kind("phone language model", "data/demo/graphs/phone_lm.safetensors", "7", "graphs", group=1),
        Kind("its record", "data/demo/graphs/graphs.json", "7", "graphs", group=2),
        Kind("its stamp", "data/demo/graphs/stamp.json", "7", "graphs", group=3),
        Kind("weights", "exp/demo_tdnnf_demo/checkpoint/model.safetensors", "8", "the training stage"),
        Kind("their info", "exp/demo_tdnnf_demo/checkpoint/info.json", "8", "the training stage", group=1),
        Kind("decoding graph", "exp/demo_tdnnf_demo/graph/graph.safetensors"),
        Kind("transcripts", "exp/demo_tdnnf_demo/decode_test/transcripts.csv", group=4),
        Kind("scale of the language model", "exp/demo_tdnnf_demo/decode_dev/lm_scale.json", group=4),
        Kind("lattices", "exp/demo_tdnnf_demo/decode_dev/lattices.safetensors", "11", "decod", group=5),
        Kind("vocabulary", "data/demo/vocabulary/vocabulary.txt", "10", "make_vocabulary.py", group=1),
        Kind("cuts with filter banks", "data/demo/fbank/train/cuts.jsonl.gz", "10", "the feature stage", group=3),
        Kind(
            "block of filter banks",
            "data/demo/fbank/dev/block-00000.lca",
            "11",
            "the feature stage",
            group=2,
            undo="exp/demo_a2w_demo/decode_dev/stamp.json",
        ),
        Kind("weights of the recogniser", "exp/demo_a2w_demo/checkpoint/model.safetensors", "11", "train_a2w.py"),
        Kind("its vocabulary", "exp/demo_a2w_demo/checkpoint/vocabulary/vocabulary.txt", "11", "train", group=1),
        Kind("choice of its search", "exp/demo_a2w_demo/decode_dev/search.json", group=4),
        Kind("weight in rescoring", "exp/demo_a2w_demo/rescore_dev/weight.json", group=4),
    ),
    "s4": (
        Kind("block of filter banks", "data/demo/fbank/block-00000.lca", "5", "the feature stage", options=_TWO),
        Kind("cuts with filter banks", "data/demo/fbank/cuts.jsonl.gz", "5", "the feature stage", group=1),
        Kind("recognised words", "data/demo/a2w/recogniser/transcripts.csv", "5", "decode_a2w.py"),
        Kind("their stamp", "data/demo/a2w/recogniser/stamp.json", "5", "decode_a2w.py", group=1),
        Kind("predictions", f"{_S4.format('random1')}/predictions.csv", "6", "the training stage"),
        Kind("words heard before", f"{_S4.format('random2')}/transcripts_before.csv", "6", "the training stage"),
        Kind("words heard after", f"{_S4.format('random3')}/transcripts_after.csv", "6", "the training stage"),
        Kind("weights", f"{_S4.format('random1')}/checkpoint/model.safetensors", "6", "the training stage", group=1),
        Kind("copy of the recogniser", "exp/demo_s4_asr_ser_chaos_from_recogniser/recogniser/model.safetensors"),
        Kind("table", "exp/demo_s4_asr_ser_chaos_from_recogniser/results/results.csv", group=2),
    ),
}


def spoil(path: Path, how: str) -> None:
    """Damage a file; its time of change stays."""
    status = path.stat()
    content = path.read_bytes()
    middle = len(content) // 2
    if how == "half":
        content = content[:middle]
    elif how == "nothing":
        content = b""
    else:
        content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def find(recipe: Recipe, kind: Kind) -> Path:
    """The file of a kind."""
    found = sorted(recipe.directory.glob(kind.pattern))
    assert found, f"no file like {kind.pattern}"
    return found[0]


def check_alone(recipe: Recipe, options: Sequence[str], kind: Kind, how: str) -> str | None:
    """Run the stage that reads a damaged file; what is wrong with what it says, or None."""
    path = find(recipe, kind)
    with snapshot(recipe):
        spoil(path, how)
        if kind.undo:
            (recipe.directory / kind.undo).unlink()
        done = recipe.run(*options, *kind.options, "--stage", kind.stage, "--stop-stage", kind.stage, check=False)
        said = done.stdout + done.stderr
    if done.returncode == 0:
        return "was not seen"
    if "Traceback" in said or path.name not in said or not any(words in said for words in kind.says.split("|")):
        return f"says: {said[-1500:]}"
    return None


def check_together(recipe: Recipe, options: Sequence[str], kinds: Sequence[Kind], how: str, whole: Path) -> list[str]:
    """Run all of the recipe after damage to several files; what is wrong with it."""
    paths = [find(recipe, kind) for kind in kinds]
    for path in paths:
        spoil(path, how)
    done = recipe.run(*options, check=False)
    said = done.stdout + done.stderr + logs(recipe)
    problems = [f"failed: {said[-1500:]}"] if done.returncode else []
    if "Traceback" in said:
        problems.append("a traceback")
    problems += [f"{path.relative_to(recipe.directory)} is not named" for path in paths if path.name not in said]
    return problems + differences(whole, recipe.directory)


def groups(kinds: Sequence[Kind]) -> Iterator[list[Kind]]:
    """Kinds that are damaged together."""
    for number in sorted({kind.group for kind in kinds}):
        yield [kind for kind in kinds if kind.group == number]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--recipe", choices=sorted(KINDS), default="iemocap")
    arguments.add_argument("--folder", type=Path, help="where the recipe is copied to (default: a temporary one)")
    arguments.add_argument("--damage", choices=DAMAGE, action="append", help="may be repeated (default: all)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary, quick_environment(Path(temporary) / "env") as quick:
        recipe = make_demo(options.folder or Path(temporary), options.recipe)
        recipe.environment["SERTOOLS_ENV"] = quick
        given = DEMOS[options.recipe].options
        recipe.run(*given)
        whole = set_aside(recipe, "undisturbed", keep=True)
        bad = 0
        print("| file | damage | the stage that reads it, alone |\n|---|---|---|", flush=True)
        for how in options.damage or DAMAGE:
            for kind in KINDS[options.recipe]:
                if kind.stage and not (how == "flipped" and kind.not_flipped):
                    problem = check_alone(recipe, given, kind, how)
                    bad += problem is not None
                    print(f"| {kind.name} | {how} | {kind.stage}: {problem or 'refused'} |", flush=True)
            for group in groups(KINDS[options.recipe]):
                problems = check_together(recipe, given, group, how, whole)
                bad += len(problems)
                names = ", ".join(kind.name for kind in group)
                print(
                    f"| together: {names} | {how} | {problems or 'found, named, made again; all as it was'} |",
                    flush=True,
                )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
