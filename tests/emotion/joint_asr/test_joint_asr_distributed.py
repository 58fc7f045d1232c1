"""Processes that share the training of S4's systems do the updates of one, dropout and all."""

import multiprocessing
import socket
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from sertools.config import from_dict
from sertools.emotion.experiment import Experiment, always, train_run
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.system import make_system
from sertools.partitions.folds import read_folds
from sertools.training.checkpoint import load_checkpoint
from sertools.training.distributed import SINGLE, Group, join
from sertools.training.loop import Conditions, Stopped

# of 24 utterances: a batch of 23, and one of fewer than there are processes
SETTINGS: dict[str, Any] = {
    "model": {"branches": ["audio", "words", "decoder_states"], "feature_dim": 6, "word_dim": 5, "lstm_dim": 6,
              "heads": 2, "attention_dim": 8, "hidden_dim": 16},
    "data": {"batch_size": 23, "max_frames": 15, "crop": "random", "class_weights": "balanced"},
    "words": {"min_count": 1},
    "states": {"search": {"beam": 2, "max_tokens": 6}},
    "training": {"epochs": 2, "learning_rate": 2e-3, "final_learning_rate": 1e-3, "warmup": 0.0},
}  # fmt: skip
JOINTS = {"same": {}, "code": {"normalise": "code"}, "frozen": {"train_recogniser": False}}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Two processes that have imported everything."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        yield workers


def trained(
    group: Group, joint: str, source: str, cuts: Path, folds: Path, recogniser: Path, out: Path, stop_after: int = 0
) -> bool:
    """Train one fold; False if it was to stop."""
    settings = SETTINGS | {"joint": JOINTS[joint], "states": SETTINGS["states"] | {"train": source}}
    made = make_system(from_dict(S4Config, settings), recogniser, None)
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == stop_after

    try:
        train_run(
            Experiment(always(made), read_folds(folds), out, (cuts,)),
            "Session1",
            1,
            conditions=Conditions(group=group, should_stop=should_stop),
        )
    except Stopped:
        return False
    return True


def in_group(rank: int, size: int, port: int, *arguments: Any) -> bool:
    with join(rank, size, "127.0.0.1", port, "cpu") as group:
        return trained(group, *arguments)


def together(pool: ProcessPoolExecutor, *arguments: Any) -> list[bool]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    return [each.result(timeout=100) for each in [pool.submit(in_group, rank, 2, port, *arguments) for rank in (0, 1)]]


def assert_same(one: Path, other: Path) -> None:
    weights = [load_checkpoint(out / "fold_Session1/seed_1/checkpoint").weights for out in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=2e-5, msg=name)


@pytest.mark.parametrize(
    ("joint", "source"), [("same", "reference"), ("code", "reference"), ("same", "hypothesis"), ("frozen", "reference")]
)
def test_two_processes_do_the_updates_of_one(
    pool: ProcessPoolExecutor, told: Any, tmp_path: Path, joint: str, source: str
) -> None:
    corpus = told.cuts, told.folds, told.recogniser
    assert trained(SINGLE, joint, source, *corpus, tmp_path / "one")
    assert together(pool, joint, source, *corpus, tmp_path / "two") == [True, True]
    assert_same(tmp_path / "one", tmp_path / "two")


def test_goes_on_with_another_number(pool: ProcessPoolExecutor, told: Any, tmp_path: Path) -> None:
    corpus = told.cuts, told.folds, told.recogniser
    assert trained(SINGLE, "same", "reference", *corpus, tmp_path / "one")
    assert together(pool, "same", "reference", *corpus, tmp_path / "cut", 3) == [False, False]
    assert trained(SINGLE, "same", "reference", *corpus, tmp_path / "cut")
    assert_same(tmp_path / "one", tmp_path / "cut")


def test_there_is_something_to_see(told: Any, tmp_path: Path) -> None:
    """Another weighting, of the same batches, is not the same."""
    corpus = told.cuts, told.folds, told.recogniser
    assert trained(SINGLE, "same", "reference", *corpus, tmp_path / "one")
    assert trained(SINGLE, "code", "reference", *corpus, tmp_path / "other")
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "one", tmp_path / "other")
