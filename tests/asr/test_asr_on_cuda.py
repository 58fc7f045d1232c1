"""A TDNN-F with LF-MMI or CTC trains on a (fake) CUDA device as on the CPU, and waits for it where it has to only."""

import dataclasses
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from sertools.asr.graphs import load_graphs
from sertools.asr.lfmmi_system import AsrConfig, AsrTask
from sertools.asr.training import train_asr
from sertools.data.transcribed import DataConfig, open_readers
from sertools.lang.folder import load_lexicon
from sertools.lfmmi import LfmmiConfig
from sertools.models.asr import AcousticModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import load_checkpoint
from sertools.training.gradients import Gradients
from sertools.training.loop import Conditions, TrainingConfig
from sertools.training.losses import Losses
from sertools.training.optimizer import make_optimizer
from sertools.training.state import Progress

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

TRUNK = TdnnfConfig(
    feature_dim=6, ivector_dim=3, hidden_dim=8, bottleneck_dim=4, prefinal_dim=4, strides=(0, 1, 3)
)  # fmt: skip
CONFIG = AsrConfig(
    model=AcousticModelConfig(TRUNK, 8, 4),
    data=DataConfig(batch_frames=3000),
    training=TrainingConfig(epochs=1, learning_rate=1e-2, select_by="dev_per"),
    dropout="0.1,0",
)
NO_LEAK = dataclasses.replace(CONFIG, lfmmi=LfmmiConfig(leaky_hmm=0.0), precision="bfloat16")


@pytest.mark.parametrize(("config", "graphs"), [(CONFIG, "graphs"), (NO_LEAK, "graphs"),
                                               (dataclasses.replace(CONFIG, loss="ctc"), "graphs_ctc")])  # fmt: skip
def test_as_on_the_cpu(cuda: "FakeCuda", tiny: Any, tmp_path: Path, config: AsrConfig, graphs: str) -> None:
    found = []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        with place:
            made = train_asr(config, tiny.lang, getattr(tiny, graphs), tiny.dev, tiny.dev, tmp_path / device,
                             conditions=Conditions(device=device))  # fmt: skip
        found.append(load_checkpoint(made))
    for name, value in found[0].weights.items():
        torch.testing.assert_close(value, found[1].weights[name], atol=2e-3, rtol=2e-3, msg=name)
    assert found[0].info["dev"]["dev_loss"] == pytest.approx(found[1].info["dev"]["dev_loss"], rel=1e-3)


def step(task: AsrTask, cuda: "FakeCuda") -> Counter[tuple[str, str]]:
    """What one update waits for, once everything is on the device."""
    optimizer = make_optimizer(task.model, CONFIG.training)
    gradients, losses = Gradients(task, Conditions().group), Losses(Progress("key"), wait=1)
    task.model.train()
    counted = []
    for batch in [next(task.batches(1, 0))] * 2:
        with cuda.counting() as waits:
            task.before_step(0.5)
            optimizer.zero_grad(set_to_none=True)
            loss, weight = gradients(batch)
            nn.utils.clip_grad_norm_(task.model.parameters(), 5.0)
            losses.add(loss, weight)
            optimizer.step()
            task.after_step(4)
        counted.append(waits)
    return counted[-1]


def test_waits_of_a_step(cuda: "FakeCuda", tiny: Any) -> None:
    readers = open_readers(tiny.train, tiny.dev, CONFIG.data, ivectors=True)
    with cuda:
        graphs, lexicon = load_graphs(tiny.graphs), load_lexicon(tiny.lang)
        found = step(AsrTask(CONFIG, graphs, lexicon, *readers, seed=1, device="cuda:0"), cuda)
    # a number is read where another path would be taken, and the loss one update later
    assert found == {
        ("read", "lfmmi.loss._check_finite"): 2,
        ("read", "lfmmi.dense_scaled.forward_backward"): 1,
        ("read", "lfmmi.dense_shared.forward_backward"): 1,
        ("download", "lfmmi.loss.__call__"): 1,
        ("read", "lfmmi.loss._regularise"): 1,
        ("read", "training.losses.settle"): 1,
    }
    # features and i-vectors come from pinned memory, read ahead by a thread; graphs and lengths are small
    assert cuda.staged["lfmmi.dense_scaled._pad"] > 0
    assert cuda.staged["asr.lfmmi_system.there"] == 0
