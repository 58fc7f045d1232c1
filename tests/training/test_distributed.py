"""Processes that share a training do the updates of one, write once, and end together."""

import dataclasses
import importlib.util
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sertools.asr.auxiliary import Auxiliary, AuxiliaryConfig
from sertools.asr.graphs import GraphsConfig, PhoneLmConfig, load_graphs, make_graphs
from sertools.asr.lfmmi_system import AsrConfig, AsrTask
from sertools.asr.training import train_asr
from sertools.data.batching import Split
from sertools.data.entries import read_entries
from sertools.data.reader import Reader
from sertools.data.transcribed import DataConfig as AsrDataConfig
from sertools.emotion.data import Utterance
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig, TransferConfig
from sertools.emotion.tdnn.task import TdnnTask
from sertools.errors import UserError
from sertools.lang.folder import load_lexicon, save_lexicon
from sertools.lang.lexicon import LangConfig, from_words
from sertools.models.asr import AcousticModelConfig
from sertools.models.emotion import EmotionModelConfig
from sertools.models.tdnnf import Tdnnf, TdnnfConfig
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint
from sertools.training.distributed import SINGLE, Group, join
from sertools.training.gradients import Gradients
from sertools.training.loop import HISTORY, STATE, Conditions, Stopped, Trained, TrainingConfig, train

TRUNK = TdnnfConfig(feature_dim=6, ivector_dim=3, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))
# with batches of one and of two utterances, and a layer that is not used
EMOTION = EmotionConfig(
    model=EmotionModelConfig(TRUNK, ("tdnnf2",), head_dim=8),
    data=DataConfig(batch_frames=100, max_frames=55, class_weights="balanced"),
    training=TrainingConfig(epochs=2, learning_rate=1e-3, final_learning_rate=5e-4),
    dropout=0.2,
)
ASR = AsrConfig(
    model=AcousticModelConfig(dataclasses.replace(TRUNK, hidden_dim=24), 24, 12),
    data=AsrDataConfig(batch_frames=250),
    training=TrainingConfig(epochs=2, learning_rate=1e-3, final_learning_rate=5e-4, select_by="dev_loss"),
    dropout=0.1,
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Three processes that have imported everything."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, context, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        yield workers


def in_group(work: Callable[..., Any], rank: int, size: int, port: int, *arguments: Any) -> Any:
    with join(rank, size, "127.0.0.1", port, "cpu") as group:
        return work(group, *arguments)


def together(pool: ProcessPoolExecutor, size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``work(group, *arguments)`` gives in each of ``size`` processes."""
    if size == 1:
        return [work(SINGLE, *arguments)]
    port = free_port()
    # every process waits for all others, so none takes two of these
    return [
        each.result(timeout=100)
        for each in [pool.submit(in_group, work, rank, size, port, *arguments) for rank in range(size)]
    ]


def utterances(count: int, seed: int) -> list[Utterance]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        frames = int(torch.randint(20, 70, (1,), generator=generator))
        features = torch.randn(frames, 6, generator=generator) + number % 2
        ivectors = torch.randn(-(-frames // 10), 3, generator=generator)
        made.append(Utterance(f"u{number}", "s", "c", features, int(number % 3 > 0), ivectors))
    return made


def emotion_task(group: Group, config: EmotionConfig = EMOTION) -> TdnnTask:
    pretrained = None
    if config.transfer.start == "pretrained":
        torch.manual_seed(5)
        pretrained = Tdnnf(config.trunk).state_dict()
    target = Target("emotion", classes=("angry", "sad"))
    return TdnnTask(
        config, target, utterances(21, 1), utterances(6, 2), seed=3, device="cpu", pretrained=pretrained, group=group
    )


def train_emotion(group: Group, directory: Path, config: EmotionConfig = EMOTION, stop_after: int = 0) -> Trained:
    """Stops, if it is to, by a wish of the last process."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return group.rank == group.size - 1 and asked == stop_after

    task = emotion_task(group, config)
    return train(
        task, config.training, directory, seed=3, key="k", conditions=Conditions(group=group, should_stop=should_stop)
    )


def stop_emotion(group: Group, directory: Path, stop_after: int) -> None:
    with pytest.raises(Stopped):
        train_emotion(group, directory, stop_after=stop_after)
    assert (directory / STATE).exists()


def assert_same(one: Trained, other: Trained) -> None:
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        torch.testing.assert_close(other.weights[name], value, rtol=1e-5, atol=1e-5, msg=name)
    assert one.best_epoch == other.best_epoch
    for a, b in zip(one.history, other.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in b.items() if k != "seconds"}, rel=1e-4
        )


@pytest.mark.parametrize("size", [1, 2, 5, 6, 11])
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_utterance_once(size: int, processes: int) -> None:
    parts = [Split(rank, processes).part(size) for rank in range(processes)]
    if processes == 1:
        assert parts == [None]
        return
    taken = [i for part in parts if part is not None and part.counts for i in range(size)[part.rows]]
    assert sorted(taken) == list(range(size))
    assert all(part is not None and len(range(size)[part.rows]) > 0 for part in parts)


@pytest.mark.parametrize("size", [2, 3])
def test_emotion_equals_one_process(pool: ProcessPoolExecutor, tmp_path: Path, size: int) -> None:
    """With dropout, class weights, unused layers, and batches of fewer utterances than processes."""
    plans = [len(indices) for indices in emotion_task(SINGLE)._plan(1)]
    assert 1 in plans
    assert max(plans) >= 3
    one = train_emotion(SINGLE, tmp_path / "one")
    several = together(pool, size, train_emotion, tmp_path / "several")
    for each in several:
        assert_same(one, each)
        assert all(torch.equal(each.weights[n], several[0].weights[n]) for n in each.weights)
    assert len((tmp_path / "several" / HISTORY).read_text().splitlines()) == 2
    assert len(list((tmp_path / "several" / "tensorboard").iterdir())) == 1


def test_first_the_head_then_all(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    """Parameters begin to be trained on the way."""
    transfer = TransferConfig("pretrained", "head_then_all", 0.5)
    config = dataclasses.replace(EMOTION, transfer=transfer, orthonormal_every=1)
    one = train_emotion(SINGLE, tmp_path / "one", config)
    two = together(pool, 2, train_emotion, tmp_path / "two", config)
    assert_same(one, two[0])
    first = emotion_task(SINGLE, config).model.state_dict()["trunk.first.weight"]
    assert float((two[0].weights["trunk.first.weight"] - first).abs().max()) > 1e-3


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_goes_on_with_another_number(pool: ProcessPoolExecutor, tmp_path: Path, before: int, after: int) -> None:
    whole = train_emotion(SINGLE, tmp_path / "whole")
    together(pool, before, stop_emotion, tmp_path / "cut", 3)
    resumed = together(pool, after, train_emotion, tmp_path / "cut")
    assert_same(whole, resumed[0])


# LF-MMI


@dataclasses.dataclass(frozen=True)
class Corpus:
    train: Path
    dev: Path
    lang: Path
    graphs: Path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """16 utterances to train and 5 for dev, of the tests of sertools.asr."""
    where = Path(__file__).parents[1] / "asr" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_asr_corpus", where)
    assert spec is not None
    assert spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    sys.modules["tiny_asr_corpus"] = tiny
    spec.loader.exec_module(tiny)
    directory = tmp_path_factory.mktemp("asr")
    found = Corpus(tiny._cuts(directory, "train", 16, 1), tiny._cuts(directory, "dev", 5, 2),
                   directory / "lang", directory / "graphs")  # fmt: skip
    config = LangConfig(units="characters", unknown=False, boundary="none")
    save_lexicon(from_words(dict.fromkeys(tiny.WORDS, 1), config), found.lang)
    lm = PhoneLmConfig(order=3, no_prune_order=2, num_extra_states=50)
    make_graphs(found.lang, found.train, found.graphs, GraphsConfig(phone_lm=lm))
    return found


def asr_task(group: Group, corpus: Corpus, config: AsrConfig = ASR) -> AsrTask:
    readers = [Reader(read_entries(path, True), 1.0) for path in (corpus.train, corpus.dev)]
    return AsrTask(config, load_graphs(corpus.graphs), load_lexicon(corpus.lang), *readers, seed=1, device="cpu",
                   group=group, auxiliary=heads(config, readers))  # fmt: skip


def heads(config: AsrConfig, readers: list[Reader]) -> Auxiliary | None:
    """Of three speakers and two genders, in turn; some are unknown."""
    if config.auxiliary is None:
        return None
    rows = [
        {entry.id: (number % 4 - 1, number // 2 % 3 - 1) for number, entry in enumerate(reader.entries)}
        for reader in readers
    ]
    return Auxiliary(config.auxiliary.weight, {"speaker": ("a", "b", "c"), "gender": ("f", "m")}, *rows)


def lfmmi_gradients(
    group: Group, corpus: Corpus, config: AsrConfig, dtype: torch.dtype
) -> tuple[dict[str, Tensor], list[float]]:
    """Gradients of an epoch's batches, added up, and running statistics after them; losses and weights."""
    task = asr_task(group, corpus, config)
    task.model.to(dtype).train()
    # of zero, as they begin, nothing could be learnt below
    torch.manual_seed(9)
    torch.nn.init.normal_(task.model.chain.output.weight)
    for layer in (task.model.xent, task.model.auxiliary):
        if layer is not None:
            torch.nn.init.normal_(getattr(layer, "output", layer).weight)
    gradients = Gradients(task, group)
    task.before_step(0.3)
    torch.manual_seed(4)
    losses = [float(value) for batch in task.batches(1, 0) for value in gradients(batch)]
    found = {name: value.grad for name, value in task.model.named_parameters() if value.grad is not None}
    return found | {n: v for n, v in task.model.named_buffers() if "running" in n}, losses


def assert_close_gradients(found: dict[str, Tensor], wanted: dict[str, Tensor], rtol: float) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        # the mean before the last layer is 0, since the norm before it made it so
        if name.endswith("linear_norm.running_mean"):
            assert max(float(value.abs().max()), float(found[name].abs().max())) < 1e-2 * rtol**0.5, name
            continue
        assert float(value.abs().max()) > 0, name
        assert float((found[name] - value).norm()) <= rtol * float(value.norm()), name


MULTITASK = dataclasses.replace(ASR, auxiliary=AuxiliaryConfig(("speaker", "gender"), 0.3))


@pytest.mark.parametrize("config", [ASR, MULTITASK], ids=["words", "words and classes"])
def test_lfmmi_gradients_equal_those_of_one_process(
    pool: ProcessPoolExecutor, corpus: Corpus, config: AsrConfig
) -> None:
    """In float64 there is no rounding to speak of: norms, dropout, all heads, l2."""
    exact, losses = lfmmi_gradients(SINGLE, corpus, config, torch.float64)
    assert ("auxiliary.weight" in exact) == (config.auxiliary is not None)
    for size in (2, 3):
        for found, others in together(pool, size, lfmmi_gradients, corpus, config, torch.float64):
            assert others == pytest.approx(losses, rel=1e-9)
            assert_close_gradients(found, exact, 1e-8)


def test_bfloat16_activations(pool: ProcessPoolExecutor, corpus: Corpus) -> None:
    """The loss stays in float32, and processes agree up to the rounding of activations."""
    config = dataclasses.replace(ASR, precision="bfloat16")
    losses = lfmmi_gradients(SINGLE, corpus, ASR, torch.float32)[1]
    alone, others = lfmmi_gradients(SINGLE, corpus, config, torch.float32)
    assert others != losses
    assert others == pytest.approx(losses, rel=0.02)
    (found, shared), _ = together(pool, 2, lfmmi_gradients, corpus, config, torch.float32)
    assert shared == pytest.approx(others, rel=0.02)
    assert_close_gradients(found, alone, 0.2)


def whole_asr_run(group: Group, corpus: Corpus, out: Path) -> None:
    train_asr(ASR, corpus.lang, corpus.graphs, corpus.train, corpus.dev, out, conditions=Conditions(group=group))
    assert (out / "stamp.json").exists()
    assert not (out / STATE).exists()


def test_lfmmi_run_equals_one_process(pool: ProcessPoolExecutor, corpus: Corpus, tmp_path: Path) -> None:
    for size in (1, 3):
        together(pool, size, whole_asr_run, corpus, tmp_path / str(size))
    one, other = (load_checkpoint(tmp_path / str(size) / "checkpoint") for size in (1, 3))
    for name, value in one.weights.items():
        torch.testing.assert_close(other.weights[name], value, rtol=1e-5, atol=1e-5, msg=name)
    for info in (one.info, other.info):
        del info["dev"]["seconds"]
    assert one.info["dev"] == pytest.approx(other.info["dev"], rel=1e-4)
    del one.info["dev"], other.info["dev"]
    assert one.info == other.info


def same_scores(group: Group, corpus: Corpus) -> dict[str, float]:
    task = asr_task(group, corpus, MULTITASK)
    task.model.eval()
    with torch.no_grad():
        return task.evaluate()


def test_dev_scores_are_those_of_one_process(pool: ProcessPoolExecutor, corpus: Corpus) -> None:
    alone = same_scores(SINGLE, corpus)
    assert {"dev_speaker_ua", "dev_gender_wa"} < set(alone)
    assert together(pool, 3, same_scores, corpus) == [alone] * 3


# what goes wrong


def drifting(group: Group) -> str:
    task = emotion_task(group)
    weight = next(task.model.parameters())
    with torch.no_grad():
        weight += group.rank * 1e-9
    group.check_weights(task.model)
    assert len(set(group.gather(float(weight.sum())))) == 1
    with torch.no_grad():
        weight += group.rank * 1e-2
    with pytest.raises(UserError) as error:
        group.check_weights(task.model)
    return str(error.value)


def test_weights_that_drift_apart(pool: ProcessPoolExecutor) -> None:
    messages = together(pool, 2, drifting)
    assert "weights have become different" in messages[0]
    assert "in trunk.first.weight" in messages[0]
    assert messages[0] == messages[1]


PROGRAM = """
    import os, signal, sys
    import torch
    from sertools.errors import UserError
    from sertools.training.distributed import join
    from sertools.training.gradients import Gradients
    torch.set_num_threads(1)
    rank, how = int(sys.argv[1]), sys.argv[2]
    class Task:
        model = torch.nn.Linear(2, 1)
        def loss(self, number):
            if number == 3 and how == f"raise{rank}":
                raise ValueError("utterance u7 is rotten")
            if number == 3 and how == f"kill{rank}":
                os.kill(os.getpid(), signal.SIGKILL)
            if number == 3 and how == "both":
                raise RuntimeError("NCCL error: Duplicate GPU detected")
            return self.model(torch.ones(2)).sum(), 1.0
    try:
        with join(rank, 2, "127.0.0.1", int(sys.argv[3]), "cpu") as group:
            gradients = Gradients(Task(), group)
            for number in range(10):
                gradients(number)
    except UserError as error:
        sys.exit(f"error: {error}")
"""


@pytest.mark.parametrize("how", ["raise0", "raise1", "kill0", "kill1"])
def test_a_failure_ends_all(tmp_path: Path, how: str) -> None:
    processes, said = two_that_fail(tmp_path, how)
    failed = int(how[-1])
    assert processes[1 - failed].returncode == 1
    if how.startswith("kill"):
        assert processes[failed].returncode == -signal.SIGKILL
        assert "error: another of the 2 processes has ended" in said[1 - failed]
    else:
        assert processes[failed].returncode == 1
        assert "ValueError: utterance u7 is rotten" in said[failed]
        # the first process may be gone before the other has read what it left
        lost = "another of the 2 processes has ended"
        told = f"process {failed} of 2 failed: utterance u7 is rotten"
        assert told in said[1 - failed] or (failed == 0 and lost in said[1 - failed])


def two_that_fail(tmp_path: Path, how: str) -> tuple[list[subprocess.Popen[str]], list[str]]:
    """Two processes of PROGRAM, which have ended, and what they said."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    port = str(free_port())
    processes = [
        subprocess.Popen([sys.executable, str(program), str(rank), how, port],
                         stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        for rank in range(2)
    ]  # fmt: skip
    # by far less than what a process waits for one that does not come
    return processes, [process.communicate(timeout=240)[1] for process in processes]


def test_a_failure_that_all_have_is_shown(tmp_path: Path) -> None:
    """It looks as if the other one had gone, but nobody else says why."""
    processes, said = two_that_fail(tmp_path, "both")
    assert [process.returncode for process in processes] == [1, 1]
    assert all("NCCL error: Duplicate GPU detected" in text for text in said)


def test_not_all_come() -> None:
    from sertools.training import distributed

    before, distributed.START = distributed.START, distributed.timedelta(seconds=1)
    try:
        with pytest.raises(UserError, match="process 0 of 2 cannot meet the others"):
            with join(0, 2, "127.0.0.1", free_port(), "cpu"):
                pass
    finally:
        distributed.START = before
