"""The training loop: exact resume, selection on dev, early stopping, schedules."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sertools.errors import UserError
from sertools.training.loop import HISTORY, STATE, Conditions, Stopped, TrainingConfig, train


class Toy:
    """Linear regression with dropout; dev scores are given or measured."""

    def __init__(self, dev_scores: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.inputs = torch.randn(24, 4)
        self.targets = self.inputs.sum(1, keepdim=True)
        self.dev_scores = dev_scores
        self.evaluations = 0
        self.seen: list[tuple[int, int]] = []

    def num_batches(self, epoch: int) -> int:
        return 6

    def batches(self, epoch: int, start: int) -> Iterator[Any]:
        order = torch.randperm(24, generator=torch.Generator().manual_seed(epoch))
        for number in range(start, 6):
            self.seen.append((epoch, number))
            yield order[4 * number : 4 * number + 4]

    def before_step(self, progress: float) -> None:
        self.progress = progress

    def loss(self, batch: Any) -> tuple[Tensor, float]:
        return (self.model(self.inputs[batch]) - self.targets[batch]).square().mean(), float(len(batch))

    def after_step(self, step: int) -> None:
        pass

    def evaluate(self) -> dict[str, float]:
        self.evaluations += 1
        if self.dev_scores is not None:
            return {"dev_ua": self.dev_scores[self.evaluations - 1]}
        return {"dev_loss": float((self.model(self.inputs) - self.targets).square().mean())}


CONFIG = TrainingConfig(epochs=4, select_by="dev_loss", learning_rate=0.05, final_learning_rate=0.01)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("stop_after", [1, 6, 8, 17])
def test_interrupted_equals_uninterrupted(tmp_path: Path, optimizer: Any, stop_after: int) -> None:
    config = TrainingConfig(**{**vars(CONFIG), "optimizer": optimizer})
    whole = train(Toy(), config, tmp_path / "whole", seed=7, key="k")

    first = Toy()
    with pytest.raises(Stopped):
        train(
            first,
            config,
            tmp_path / "cut",
            seed=7,
            key="k",
            conditions=Conditions(should_stop=lambda: len(first.seen) >= stop_after),
        )
    torch.rand(100)  # whatever happened to the generator in between
    second = Toy()
    resumed = train(second, config, tmp_path / "cut", seed=7, key="k")

    assert first.seen + second.seen == [(e, b) for e in range(1, 5) for b in range(6)]
    assert resumed.best_epoch == whole.best_epoch
    for name, value in whole.weights.items():
        assert torch.equal(value, resumed.weights[name]), name
    without_time = [{k: v for k, v in e.items() if k != "seconds"} for e in resumed.history]
    assert without_time == [{k: v for k, v in e.items() if k != "seconds"} for e in whole.history]
    assert len((tmp_path / "cut" / HISTORY).read_text().splitlines()) == 4


def test_killed_equals_undisturbed(tmp_path: Path) -> None:
    """SIGKILL at whatever moment; the state file is replaced as a whole, so it is always sound."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_loop import CONFIG, Toy, TrainingConfig, train
        from safetensors.torch import save_file
        class Slow(Toy):
            def after_step(self, step):
                time.sleep(float(sys.argv[2]))
        config = TrainingConfig(**{{**vars(CONFIG), "save_minutes": 0.0, "epochs": 8}})
        directory = Path(sys.argv[1])
        result = train(Slow(), config, directory, seed=3, key="k")
        save_file(result.weights, directory / "final.safetensors")
        """)
    )
    subprocess.run([sys.executable, str(program), str(tmp_path / "whole"), "0"], check=True)
    killed = 0
    for delay in (0.1, 0.35, 0.6):
        process = subprocess.Popen([sys.executable, str(program), str(tmp_path / "cut"), "0.03"])
        deadline = time.time() + 60
        while not (tmp_path / "cut" / STATE).exists() and time.time() < deadline:
            time.sleep(0.02)
        time.sleep(delay)
        killed += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert killed > 0
    subprocess.run([sys.executable, str(program), str(tmp_path / "cut"), "0"], check=True)
    whole, cut = (load_file(tmp_path / name / "final.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    for name in whole:
        assert torch.equal(whole[name], cut[name]), name


@pytest.mark.parametrize(("seconds", "first"), [(-1.0, (3, 0)), (3600.0, (1, 0))])
def test_epochs_are_saved_if_they_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, first: tuple[int, int]
) -> None:
    monkeypatch.setattr("sertools.training.loop.SAVE_SECONDS", seconds)

    class Killed(Toy):
        def before_step(self, done: float) -> None:
            if len(self.seen) > 12:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Killed(), CONFIG, tmp_path, seed=7, key="k")
    assert (tmp_path / HISTORY).exists() == (seconds < 0)
    resumed = Toy()
    train(resumed, CONFIG, tmp_path, seed=7, key="k")
    assert resumed.seen[0] == first


def test_state_of_another_training_is_not_taken_up(tmp_path: Path) -> None:
    task = Toy()
    with pytest.raises(Stopped):
        train(
            task,
            CONFIG,
            tmp_path,
            seed=7,
            key="old data",
            conditions=Conditions(should_stop=lambda: len(task.seen) >= 8),
        )
    fresh = Toy()
    train(fresh, CONFIG, tmp_path, seed=7, key="new data")
    assert fresh.seen[0] == (1, 0)


@pytest.mark.parametrize("damage", ["cut", "nothing", "weight", "text"])
def test_damaged_state_is_not_taken_up(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    task = Toy()
    with pytest.raises(Stopped):
        train(task, CONFIG, tmp_path, seed=7, key="k", conditions=Conditions(should_stop=lambda: len(task.seen) >= 8))
    state = tmp_path / STATE
    good = state.read_bytes()
    text = good.index(b'batch\\": ') + 9
    spoilt = {
        "cut": good[:-100],
        "nothing": b"",
        "weight": good[:-30] + bytes([good[-30] ^ 1]) + good[-29:],
        "text": good[:text] + b"9" + good[text + 1 :],
    }
    state.write_bytes(spoilt[damage])
    assert state.read_bytes() != good
    fresh = Toy()
    train(fresh, CONFIG, tmp_path, seed=7, key="k")
    assert fresh.seen[0] == (1, 0)
    assert "state.safetensors is damaged: training starts from the beginning" in caplog.text


def test_best_epoch_is_the_first_of_the_best_on_dev(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=4)
    trained = train(Toy([0.3, 0.6, 0.6, 0.5]), config, tmp_path, seed=1, key="k")
    assert trained.best_epoch == 2
    last = train(Toy([0.3, 0.6, 0.6, 0.7]), config, tmp_path / "other", seed=1, key="k")
    assert last.best_epoch == 4
    assert not torch.equal(trained.weights["0.weight"], last.weights["0.weight"])


def test_early_stopping(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=10, patience=2)
    trained = train(Toy([0.3, 0.6, 0.5, 0.5, 0.9]), config, tmp_path, seed=1, key="k")
    assert len(trained.history) == 4
    assert trained.best_epoch == 2


def test_seed_matters_and_is_enough(tmp_path: Path) -> None:
    results = [train(Toy(), CONFIG, tmp_path / str(i), seed=s, key="k") for i, s in enumerate((1, 1, 2))]
    assert torch.equal(results[0].weights["0.weight"], results[1].weights["0.weight"])
    assert not torch.equal(results[0].weights["0.weight"], results[2].weights["0.weight"])


def test_loss_that_is_not_finite(tmp_path: Path) -> None:
    task = Toy()
    task.targets[5] = float("nan")
    with pytest.raises(UserError, match="loss became nan in epoch 1"):
        train(task, CONFIG, tmp_path, seed=1, key="k")


def test_unknown_dev_score(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no dev score dev_f1; there are dev_loss"):
        train(Toy(), TrainingConfig(epochs=1, select_by="dev_f1"), tmp_path, seed=1, key="k")


def test_tensorboard_has_every_epoch_once_after_a_resume(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task = Toy()
    with pytest.raises(Stopped):
        train(task, CONFIG, tmp_path, seed=7, key="k", conditions=Conditions(should_stop=lambda: len(task.seen) >= 14))
    train(Toy(), CONFIG, tmp_path, seed=7, key="k")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("train_loss")] == [1, 2, 3, 4]


def test_modules_may_have_their_own_learning_rate(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, optimizer="sgd", momentum=0.0, max_grad_norm=0.0, select_by="dev_loss")
    moved = []
    for factor in (1.0, 0.5):
        task = Toy()
        task.model[2].learning_rate_factor = factor
        task.num_batches = lambda epoch: 1  # type: ignore[method-assign]
        task.batches = lambda epoch, start: iter([torch.arange(24)])  # type: ignore[method-assign]
        before = [p.detach().clone() for p in task.model.parameters()]
        after = train(task, config, tmp_path / str(factor), seed=1, key="k").weights.values()
        moved.append([b - a for a, b in zip(before, after, strict=True)])
    torch.testing.assert_close(moved[1][:2], moved[0][:2])
    torch.testing.assert_close(moved[1][2:], [0.5 * move for move in moved[0][2:]])
    assert all(move.abs().max() > 0 for move in moved[0])


def test_error_rates_are_better_when_lower(tmp_path: Path) -> None:
    class Scored(Toy):
        def evaluate(self) -> dict[str, float]:
            return {"dev_per": super().evaluate()["dev_ua"]}

    config = TrainingConfig(epochs=4, select_by="dev_per")
    assert train(Scored([30.0, 20.0, 20.0, 25.0]), config, tmp_path, seed=1, key="k").best_epoch == 2


def test_losses_are_read_late_on_a_gpu_but_all_of_them() -> None:
    from sertools.training.losses import Losses
    from sertools.training.state import Progress

    now = Progress("k", batch=4)
    losses = Losses(now, wait=1)
    losses.add(torch.tensor(2.0), 3.0)
    assert now.weight_sum == 0
    losses.add(torch.tensor(float("nan")), 1.0)
    assert (now.loss_sum, now.weight_sum) == (6.0, 3.0)
    with pytest.raises(UserError, match="nan in epoch 1, batch 5"):
        losses.settle()


def test_gradients_are_clipped_to_the_norm(tmp_path: Path) -> None:
    """By sgd without momentum, an update is at most learning rate times norm long."""

    def moved(norm: float, where: str) -> list[float]:
        steps: list[float] = []

        class Watched(Toy):
            def before_step(self, progress: float) -> None:
                self.before = [p.detach().clone() for p in self.model.parameters()]

            def after_step(self, step: int) -> None:
                pairs = zip(self.before, self.model.parameters(), strict=True)
                steps.append(float(torch.cat([(b - p.detach()).flatten() for b, p in pairs]).norm()))

        config = TrainingConfig(
            epochs=1, optimizer="sgd", momentum=0.0, learning_rate=0.01, final_learning_rate=0.01, warmup=0.0,
            max_grad_norm=norm, select_by="dev_loss",
        )  # fmt: skip
        train(Watched(), config, tmp_path / where, seed=1, key="k")
        return steps

    free, clipped = moved(0.0, "free"), moved(0.5, "clipped")
    assert min(free) > 0.01 * 0.5, "the comparison must be able to fail"
    assert clipped == pytest.approx([0.01 * 0.5] * len(clipped), rel=1e-3)


def test_the_seed_is_that_of_dropout(tmp_path: Path) -> None:
    one, again, other = (
        train(Toy(), CONFIG, tmp_path / f"{n}", seed=seed, key="k") for n, seed in enumerate((1, 1, 2))
    )
    assert one.history[0]["train_loss"] == again.history[0]["train_loss"] != other.history[0]["train_loss"]


def test_schedules_are_followed_and_dev_is_heard_without_dropout(tmp_path: Path) -> None:
    progress, moved, training = [], [], []

    class Watched(Toy):
        def before_step(self, progress_now: float) -> None:
            progress.append(progress_now)
            self.before = self.model[2].bias.detach().clone()

        def loss(self, batch: Any) -> tuple[Tensor, float]:
            return self.model[2].bias.sum(), 1.0  # a gradient of 1: what moves is the learning rate

        def after_step(self, step: int) -> None:
            moved.append(float(self.before - self.model[2].bias.detach()))

        def evaluate(self) -> dict[str, float]:
            training.append(self.model.training)
            return super().evaluate()

    config = TrainingConfig(
        epochs=2, optimizer="sgd", momentum=0.0, max_grad_norm=0.0, learning_rate=0.08, final_learning_rate=0.02,
        warmup=0.0, select_by="dev_loss",
    )  # fmt: skip
    train(Watched(), config, tmp_path, seed=1, key="k")
    assert progress == pytest.approx([n / 12 for n in range(12)])
    assert moved == pytest.approx([0.08 * 0.25 ** ((n + 0.5) / 12) for n in range(12)], rel=1e-3)
    assert training == [False, False]


def test_dev_loss_breaks_ties() -> None:
    from sertools.training.selection import better

    one, other = {"dev_ua": 0.5, "dev_loss": 1.0}, {"dev_ua": 0.5, "dev_loss": 0.9}
    assert better("dev_ua", other, one)
    assert not better("dev_ua", one, other)
    assert not better("dev_ua", {"dev_ua": 0.4, "dev_loss": 0.1}, one)


class Recording(Toy):
    """Keeps the weights after each epoch, before they are scored."""

    def __init__(self) -> None:
        super().__init__()
        self.after: list[dict[str, Tensor]] = []

    def after_step(self, step: int) -> None:
        if (step + 1) % 6 == 0:
            self.after.append({name: value.clone() for name, value in self.model.state_dict().items()})


@pytest.mark.parametrize("stop_after", [0, 8, 15, 20])
def test_averaged_weights_are_the_mean_of_the_last_epochs(tmp_path: Path, stop_after: int) -> None:
    """Of four epochs the last two, whether interrupted or not; training itself goes on from its own weights."""
    config = TrainingConfig(**{**vars(CONFIG), "average": 0.5})
    plain, averaged = Recording(), Recording()
    train(plain, CONFIG, tmp_path / "plain", seed=7, key="k")
    if stop_after:
        conditions = Conditions(should_stop=lambda: len(averaged.seen) >= stop_after)
        with pytest.raises(Stopped):
            train(averaged, config, tmp_path / "average", seed=7, key="k", conditions=conditions)
        averaged = Recording()
    done = train(averaged, config, tmp_path / "average", seed=7, key="k")
    for name, value in plain.after[-1].items():
        assert torch.equal(averaged.model.state_dict()[name], value)
    means = {3: plain.after[2], 4: {n: (plain.after[2][n] + plain.after[3][n]) / 2 for n in plain.after[3]}}
    scores = {}
    for epoch, weights in means.items():
        plain.model.load_state_dict(weights)
        plain.model.eval()
        with torch.no_grad():
            scores[epoch] = plain.evaluate()["dev_loss"]
    assert [entry["dev_loss"] for entry in done.history[2:]] == pytest.approx([scores[3], scores[4]], rel=1e-5)
    if done.best_epoch == 4:
        for name, value in done.weights.items():
            assert torch.allclose(value, means[4][name], atol=1e-6)
