"""Killing recipes: small demo recipes, SIGKILL at random moments, and what must be the same in the end."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from processes import all_processes, command_of, folder_of, name_of, read, send
from recipe_copy import Recipe, copy_recipe
from untrained_recogniser import save_untrained_a2w

from sertools.files import content_hash

__all__ = ["DEMOS", "Demo", "Killed", "Moment", "Victim", "differences", "logs", "make_demo", "set_aside", "snapshot"]

MARK = "SERTOOLS_CHAOS"
HOW = ("all", "group", "run.sh", "one")
"""What is killed: every process at once (as by a power cut), the process group of run.sh, run.sh alone, or one
Python process of those below it."""
SECONDS_TO_END = 20.0  # for what was not killed itself: job.sh gives its processes 5 seconds
# what holds times, process numbers or the state of locks
NOT_COMPARED = ("*/log/*", "*/tensorboard/*", "*.lock", "exp/stages.jsonl", "*/stamp.json", "*/report.html",
                "*/comparison.html", "*/block-*.json", "*/info.json")  # fmt: skip


@dataclass(frozen=True)
class Demo:
    """A recipe made small: files that are written, options, the script, whether it needs a recogniser."""

    recipe: str
    files: dict[str, str]
    options: tuple[str, ...]
    script: str = "run.sh"
    recogniser: bool = False


_TRUNK = "hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 1, 3]"
_IVECTOR = """
transform: {context: 1, kind: pca, dim: 12}
ubm: {num_gaussians: 4, init_iterations: 2, iterations: 2}
extractor: {dim: 4, iterations: 2}
"""
DEMOS = {
    # from scratch, with i-vectors of each fold's own extractor: three folds, two seeds, two systems compared
    "iemocap": Demo(
        "iemocap",
        {
            "conf/demo.yaml": "corpus: {improvised: 1, scripted: 1, turns: 6}",
            "conf/features/mfcc.yaml": "mfcc: {num_ceps: 20, num_mel_bins: 30}\nstore: {block_minutes: 0.5}",
            "conf/ivector/ivector.yaml": _IVECTOR + "store: {block_minutes: 1}",
            "conf/folds/chaos.yaml": "{class_set: s1, protocol: random, num_folds: 3}",
            "conf/s1/small.yaml": f"""
model: {{trunk: {{feature_dim: 20, ivector_dim: 4, {_TRUNK}}}, layers: [tdnnf4], head_dim: 8}}
data: {{batch_frames: 1000, max_frames: 100}}
training: {{epochs: 8, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3, save_minutes: 0.005}}
dropout: "0,0.2"
""",
        },
        ("--pretrained", "none", "--system", "small", "--choose-on-dev", "", "--protocol", "chaos", "--num-seeds", "2"),
    ),
    # S4's systems, with three folds and two ways to come to words
    "s4": Demo(
        "iemocap",
        {
            "conf/demo.yaml": "corpus: {improvised: 1, scripted: 1, turns: 6}",
            "conf/folds/chaos.yaml": "{class_set: s1, protocol: random, num_folds: 3}",
            "conf/s4/s4.yaml": """
model: {word_dim: 8, lstm_dim: 8, heads: 2, attention_dim: 8, hidden_dim: 16}
data: {max_frames: 100}
states: {search: {beam: 2, max_tokens: 5}}
training: {epochs: 8, learning_rate: 3.0e-3, final_learning_rate: 3.0e-3, save_minutes: 0.005}
""",
        },
        tuple(
            shlex.split("--protocol chaos --num-seeds 1 --system 's4_combined_asr s4_asr_ser' --recogniser recogniser")
        ),
        script="run_s4.sh",
        recogniser=True,
    ),
    # S2's networks, sources first, as stacks, two repetitions of four folds; the SVM; the page of the paper
    "s2": Demo(
        "msp_improv",
        {
            "conf/demo.yaml": """
corpus: {turns: 12}
s2: {options: {num_folds: 4, repetitions: 2}}
dnn:
  model: {hidden: [8, 8], dropout: 0.1}
  training: {epochs: 40, learning_rate: 1.0e-2, batch_size: 32, patience: 0, networks_at_once: 3, save_minutes: 0.002}
""",
            "conf/features/functionals.yaml": "store: {block_minutes: 0.5}",
        },
        tuple(
            shlex.split(
                "--system 'dnn ptft_speaker prognet_speaker prognet_random svm' --sources speaker --protocol s2 --nj 2 "
                "--train-nj 2"
            )
        ),
        script="run_s2.sh",
    ),
    # with i-vectors, LF-MMI training, decoding of words, and the acoustic-to-word recogniser
    "tedlium2": Demo(
        "tedlium2",
        {
            "conf/demo.yaml": "corpus: {train_talks: 3, dev_talks: 1, test_talks: 1, sentences: 8, lm_sentences: 60}",
            "conf/ivector/ivector_small.yaml": _IVECTOR + "speakers: {max_utterances: 2}\nstore: {block_minutes: 0.5}",
            "conf/lfmmi/tdnnf_demo.yaml": """
model:
  trunk: {ivector_dim: 4, hidden_dim: 32, bottleneck_dim: 16, prefinal_dim: 16, strides: [0, 1, 3]}
  head_dim: 32
  head_bottleneck_dim: 16
data: {batch_frames: 2000}
training: {epochs: 6, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3, select_by: dev_per, save_minutes: 0.005}
dropout: "0,0.2"
""",
            "conf/a2w/a2w_demo.yaml": """
model: {encoder_layers: 1, encoder_dim: 16, decoder_dim: 16, embedding_dim: 8, attention_dim: 16}
training: {epochs: 6, learning_rate: 4.0e-3, final_learning_rate: 1.0e-3, save_minutes: 0.005}
""",
        },
        (),
    ),
}


def make_demo(project: Path, name: str) -> Recipe:
    """A copy of a recipe, made small."""
    recipe = copy_recipe(project, DEMOS[name].recipe)
    recipe.script = DEMOS[name].script
    for file, text in DEMOS[name].files.items():
        recipe.write(file, text)
    if DEMOS[name].recogniser:
        save_untrained_a2w(
            recipe.directory / "recogniser/checkpoint", recipe.directory.parent / "common/conf/features/fbank.yaml"
        )
    return recipe


@dataclass(frozen=True)
class Moment:
    """When and how to kill: so many seconds after a stage has begun."""

    stage: int
    seconds: float
    how: str


@dataclass
class Killed:
    """One kill: how, and in which stage it was in the end; what went wrong with it."""

    how: str
    stage: str
    problems: list[str] = field(default_factory=list)


class Victim:
    """Runs a recipe and kills it; all that it starts is found by a mark in the environment."""

    def __init__(self, recipe: Recipe, options: tuple[str, ...], seed: int) -> None:
        self.recipe = recipe
        self.options = options
        self.random = random.Random(seed)
        self.output = recipe.directory / "chaos.log"
        self._mark = f"{os.getpid()}-{seed}"
        self._old_lines = 0  # of exp/stages.jsonl, when the run began
        recipe.environment[MARK] = self._mark

    def _start(self) -> subprocess.Popen[bytes]:
        self._old_lines = len(self._lines())
        return self.recipe.start(*self.options, log=self.output)

    def run(self) -> float:
        """To its end, undisturbed; returns the seconds that it took.

        Raises:
            AssertionError: it failed.
        """
        started = time.monotonic()
        code = self._start().wait()
        assert code == 0, f"run.sh ended with code {code}:\n{self.tail()}"
        return time.monotonic() - started

    def moments(self, number: int) -> list[Moment]:
        """Random ones, from the first stage to the last, so that most of them hit work and not a check of it.

        Long stages get more.  :meth:`run` has to come before.
        """
        began = [(event["stage"], event["time"]) for event in self._events() if event["event"] == "stage"]
        ends = [event["time"] for event in self._events() if event["event"] == "end" and "stage" in event]
        took = {stage: end - start for (stage, start), end in zip(began, ends, strict=True)}
        worth = {stage: max(seconds, 1.0) ** 0.5 for stage, seconds in took.items() if seconds > 0.2}
        stages = sorted(self.random.choices(list(worth), list(worth.values()), k=number))
        return [Moment(stage, self.random.uniform(0, took[stage]), self.random.choice(HOW)) for stage in stages]

    def run_and_kill(self, moment: Moment) -> Killed | None:
        """Begin it, and kill it then; None if it came to its end before."""
        position = self.output.stat().st_size if self.output.exists() else 0
        process = self._start()
        while process.poll() is None and self._stage_number() < moment.stage:
            time.sleep(0.05)
        try:
            code = process.wait(moment.seconds)
        except subprocess.TimeoutExpired:
            code = None
        if code is not None:
            assert code == 0, f"run.sh, not disturbed, ended with code {code}:\n{self.tail()}"
            return None
        killed = Killed(moment.how, self.stage())
        if moment.how == "one":
            self._kill_one(process, killed)
        else:
            self._kill(process, moment.how)
        process.wait(SECONDS_TO_END)
        said = self.output.read_bytes()[position:].decode(errors="replace")
        if "Traceback" in said:
            killed.problems.append(f"a traceback:\n{said[said.index('Traceback') :][:3000]}")
        return killed

    def _kill(self, process: subprocess.Popen[bytes], how: str) -> None:
        if how == "run.sh":
            process.kill()
        elif how == "group":
            os.killpg(process.pid, signal.SIGKILL)
        while how == "all" and (found := self.processes()):
            for one in found:
                send(one, signal.SIGKILL)
            process.poll()

    def _kill_one(self, process: subprocess.Popen[bytes], killed: Killed) -> None:
        """One Python process: run.sh must then end by itself, and say in which stage."""
        pythons = [one for one in self.processes() if name_of(one).startswith("python")]
        # nobody misses multiprocessing's own helper
        pythons = [one for one in pythons if "resource_tracker" not in command_of(one)]
        if not pythons:  # between two programs
            self._kill(process, "run.sh")
            killed.how = "run.sh"
            return
        one = self.random.choice(pythons)
        command = command_of(one)
        send(one, signal.SIGKILL)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            killed.problems.append(f"run.sh did not end after {command} was killed")
            self._kill(process, "all")
            return
        if code == 0:
            killed.how = "one, and run.sh came to its end"
        elif "failed" not in self.tail():
            killed.problems.append(f"run.sh says nothing of {command} that was killed:\n{self.tail()}")

    def left_over(self) -> list[str]:
        """Commands that still run when all had time to end."""
        deadline = time.monotonic() + SECONDS_TO_END
        while (found := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [command_of(one) for one in found]

    def processes(self) -> list[int]:
        """Of this recipe, but for zombies; forked programs (quick_programs.py) by the folder that they are in."""
        mark, folder = f"{MARK}={self._mark}".encode(), str(self.recipe.directory)
        return [one for one in all_processes() if mark in read(one, "environ").split(b"\0") or folder_of(one) == folder]

    def stage(self) -> str:
        """The stage that has begun last."""
        stages = [event for event in self._events() if event["event"] == "stage"]
        return f"{stages[-1]['stage']} {stages[-1]['title']}" if stages else "none yet"

    def _stage_number(self) -> int:
        return max((event["stage"] for event in self._events() if event["event"] == "stage"), default=-1)

    def _events(self) -> list[dict[str, Any]]:
        """Of the run that was started last."""
        return [json.loads(line) for line in self._lines()[self._old_lines :] if line.endswith("}")]

    def _lines(self) -> list[str]:
        path = self.recipe.directory / "exp/stages.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def tail(self, size: int = 3000) -> str:
        """The end of what run.sh has said in all runs."""
        return self.output.read_bytes()[-size:].decode(errors="replace")


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two recipes' data and exp, but for times: also files that only one of them has."""
    names = [{str(path.relative_to(root)): path for path in _files(root)} for root in (one, other)]
    found = [f"only in {one.name}: {name}" for name in sorted(names[0].keys() - names[1].keys())]
    found += [f"only in {other.name}: {name}" for name in sorted(names[1].keys() - names[0].keys())]
    for name in sorted(names[0].keys() & names[1].keys()):
        path = Path(name)
        if any(path.match(pattern) for pattern in NOT_COMPARED) or "tensorboard" in path.parts:
            continue
        if _content(names[0][name]) != _content(names[1][name]):
            found.append(f"differs: {name}")
    return found


def set_aside(recipe: Recipe, name: str, *, keep: bool = False) -> Path:
    """Move data and exp into a folder of this name, so that the recipe is as new; or copy them there."""
    target = recipe.directory / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for folder in ("data", "exp"):
        if keep:
            shutil.copytree(recipe.directory / folder, target / folder)
        else:
            (recipe.directory / folder).rename(target / folder)
    return target


def logs(recipe: Recipe) -> str:
    """All that the jobs have said."""
    folders = (recipe.directory / folder for folder in ("data", "exp"))
    return "".join(log.read_text(errors="replace") for folder in folders for log in sorted(folder.rglob("*.log")))


@contextmanager
def snapshot(recipe: Recipe) -> Iterator[None]:
    """Undo afterwards all that happens to data and exp."""
    set_aside(recipe, "snapshot", keep=True)
    yield
    for folder in ("data", "exp"):
        shutil.rmtree(recipe.directory / folder)
        (recipe.directory / "snapshot" / folder).rename(recipe.directory / folder)


def _files(root: Path) -> Iterator[Path]:
    for folder in ("data", "exp"):
        for path in (root / folder).rglob("*"):
            # tensorboard's files have times and process numbers in their names
            if path.is_file() and not path.name.startswith("events.out.tfevents"):
                yield path


def _content(path: Path) -> Any:
    if path.name == "history.jsonl":
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]
    return content_hash(path)
