"""Fine-tuning tiny models: what learns, adapters, masks, exact resume, and as a system."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from lhotse import CutSet, Recording, SupervisionSegment

pytest.importorskip("transformers")

from safetensors.torch import load_file
from tiny_models import tiny_speech, tiny_whisper

from sertools.backbones.card import of_utterances
from sertools.backbones.encoder import hidden_states
from sertools.backbones.load import load_speech
from sertools.data.reader import Kept
from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.finetune_ssl.config import FinetuneConfig, HeadShape, TunedConfig, TuningDataConfig
from sertools.emotion.finetune_ssl.network import LowRank, TunedNetwork
from sertools.emotion.finetune_ssl.task import FinetuneTask, Speech, predict
from sertools.emotion.kinds import load_system
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import read_folds, write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.target import Target
from sertools.runs.folder import read_run
from sertools.runs.predictions import read_predictions
from sertools.training.loop import Stopped
from sertools.training.task import Conditions


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hubert")
    tiny_speech(folder, "Hubert", do_stable_layer_norm=True, feat_extract_norm="layer")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tones of 8 speakers: high ones are angry."""
    folder = tmp_path_factory.mktemp("tones")
    generator, cuts, examples = np.random.default_rng(0), [], []
    for number in range(48):
        speaker, label = number % 8, ("angry", "sad")[number // 8 % 2]
        time = np.arange(1600 + 160 * (number % 5)) / 16000
        wave = 0.3 * np.sin(2 * np.pi * (2500 if label == "angry" else 300) * time)
        path = folder / f"u{number:02d}.wav"
        soundfile.write(path, (wave + 0.01 * generator.normal(size=len(time))).astype(np.float32), 16000)
        cut = Recording.from_file(path).to_cut().with_id(path.stem)
        cut.supervisions = [
            SupervisionSegment(
                path.stem, path.stem, 0.0, cut.duration, speaker=f"s{speaker}", custom={"corpus": "tones"}
            )
        ]
        cuts.append(cut)
        examples.append(Example(path.stem, f"s{speaker}", f"Session{speaker // 2 + 1}", label))
    CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    config = FoldsConfig(class_set="two", protocol="strict")
    write_folds(folder / "folds", make_folds(config, examples, corpus="tones", classes=("angry", "sad")))
    return folder / "cuts.jsonl.gz", folder / "folds"


def learning(network: TunedNetwork) -> set[str]:
    """Top-level parts of the encoder that learn."""
    return {name for name, value in network.encoder.named_parameters() if value.requires_grad}


def test_what_learns(hubert: Path) -> None:
    def names(**tuned: Any) -> set[str]:
        config = FinetuneConfig(tuned=TunedConfig(**tuned))
        return learning(TunedNetwork(config, load_speech(hubert), 2, False))

    everything = names(part="all")
    assert everything == {name for name, _ in load_speech(hubert).named_parameters()}
    convolutions = {name for name in everything if ".feature_extractor." in name}
    assert everything - names(part="but_convolutions") == convolutions
    last = names(part="last", last_layers=2)
    assert last == {name for name in everything if ".layers.1." in name or ".layers.2." in name}
    adapters = names(part="adapters")
    assert adapters
    assert all(name.endswith((".down", ".up")) for name in adapters)
    assert names(part="none") == set()
    with pytest.raises(UserError, match="has 3 layers, not 4"):
        names(part="last", last_layers=4)


def test_what_learns_nothing_is_computed_as_it_is_stored(hubert: Path) -> None:
    config = FinetuneConfig(head=HeadShape(layers=(3, 1)), tuned=TunedConfig(part="none"))
    network = TunedNetwork(config, load_speech(hubert), 2, False).train()
    assert network.head.training
    waveform = torch.randn(1, 3000, generator=torch.Generator().manual_seed(1))
    outputs = network(waveform, torch.tensor([3000]))
    (states,) = hidden_states(load_speech(hubert), [waveform[0]], [3, 1])
    network.eval()
    expected = network.of_states(states.transpose(0, 1).flatten(1)[None], torch.tensor([states.shape[1]]))
    # dropout of 0.1 before the output layer is all that differs
    network.train()
    network.head.dropout.p = 0.0
    torch.testing.assert_close(network(waveform, torch.tensor([3000])), expected, rtol=1e-5, atol=1e-5)
    outputs.sum().backward()
    assert network.head.output.weight.grad is not None


@pytest.mark.parametrize("kind", ["Wav2Vec2", "WavLM", "Whisper"])
def test_adapters_begin_as_nothing_and_are_a_low_rank_product(tmp_path: Path, kind: str) -> None:
    if kind == "Whisper":
        tiny_whisper(tmp_path)
    else:
        tiny_speech(tmp_path, kind)
    waves, lengths = 0.1 * torch.randn(2, 8000), torch.tensor([8000, 8000])
    plain = load_speech(tmp_path, padding=False)
    config = FinetuneConfig(head=HeadShape(head_dim=0), tuned=TunedConfig("adapters", rank=2, adapter_scale=0.5))
    torch.manual_seed(1)
    network = TunedNetwork(config, load_speech(tmp_path, padding=False), 2, False).eval()
    found = [module for module in network.modules() if isinstance(module, LowRank)]
    assert len(found) == 6
    with torch.no_grad():
        before = plain.encode(waves, lengths, network.layers).states[0]
        assert torch.allclose(network.encoder.encode(waves, lengths, network.layers).states[0], before, atol=1e-6)
        # folded into the plain model's weights by hand, they give what the adapted model gives
        adapted = dict(network.encoder.named_modules())
        for name, layer in plain.named_modules():
            if isinstance(adapted[name], LowRank):
                own = adapted[name]
                own.up.copy_(torch.randn_like(own.up))  # type: ignore[operator]
                layer.weight += 0.5 * own.up @ own.down  # type: ignore[operator]
        after = plain.encode(waves, lengths, network.layers).states[0]
        assert not torch.allclose(after, before, atol=1e-2)
        assert torch.allclose(network.encoder.encode(waves, lengths, network.layers).states[0], after, atol=1e-5)
    network.train()
    network(waves, lengths).sum().backward()
    assert all(module.up.grad is not None and module.base.weight.grad is None for module in found)


QUICK = ("system=finetune_ssl", "head.head_dim=0", "training.epochs=3", "data.batch_seconds=0.8",
         "data.max_seconds=0.12", "training.learning_rate=0.01", "training.final_learning_rate=0.01")  # fmt: skip


def experiment(corpus: tuple[Path, Path], backbone: Path, output: Path, settings: Sequence[str] = ()) -> Experiment:
    maker = load_system(overrides=[*QUICK, *settings], given={"backbone": backbone})
    return Experiment(maker, read_folds(corpus[1]), output, (corpus[0],))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint/model.safetensors")


@pytest.mark.parametrize("part", ["but_convolutions", "adapters", "none"])
def test_as_a_kind_of_system(corpus: tuple[Path, Path], hubert: Path, tmp_path: Path, part: str) -> None:
    scaled = ["head.scale=standardise", "head.pooling=statistics", "head.layers=all"] if part == "none" else []
    run = train_run(experiment(corpus, hubert, tmp_path, [f"tuned.part={part}", *scaled]), "Session1", 1)
    table = read_predictions(run / "predictions.csv").select(part="test")
    assert (table.outputs.argmax(1) == table.labels).mean() > 0.7
    trained, start = weights(run), dict(load_speech(hubert).named_parameters())
    frozen = [name for name in start if ".feature_extractor." in name or part == "none"]
    assert frozen
    assert all(torch.equal(trained[f"encoder.{name}"], start[name]) for name in frozen)
    assert any("trained on" in line for line in read_run("run", run).info["remarks"])


def test_stopped_and_resumed_it_is_the_same_to_the_bit(corpus: tuple[Path, Path], hubert: Path, tmp_path: Path) -> None:
    settings = ["data.channel_mask_starts=0.2", "data.channel_mask_length=2", "tuned.head_part=0.2",
                "head.scale=standardise"]  # fmt: skip
    whole = train_run(experiment(corpus, hubert, tmp_path / "whole", settings), "Session1", 1)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 7

    halves = experiment(corpus, hubert, tmp_path / "halves", settings)
    with pytest.raises(Stopped):
        train_run(halves, "Session1", 1, conditions=Conditions(should_stop=stop))
    again = train_run(halves, "Session1", 1)
    one, other = weights(whole), weights(again)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("kind", "part"), [("Hubert", "adapters"), ("Whisper", "all"), ("Whisper", "adapters")])
def test_checkpointed_gradients_are_the_same(tmp_path: Path, hubert: Path, kind: str, part: str) -> None:
    if kind == "Whisper":
        tiny_whisper(tmp_path)
    folder = tmp_path if kind == "Whisper" else hubert
    waves, lengths = torch.randn(2, 3200), torch.tensor([3200, 3000])
    found = []
    for again in (False, True):
        config = FinetuneConfig(tuned=TunedConfig(part, gradient_checkpointing=again))  # type: ignore[arg-type]
        torch.manual_seed(1)
        network = TunedNetwork(config, load_speech(folder, padding=False), 2, False).train()
        for name, value in network.named_parameters():
            if name.endswith(".up"):
                value.data += 0.1
        calls = []
        layer: Any = network.encoder.layer_stack()[0]
        inner = next(module for module in layer.modules() if isinstance(module, torch.nn.LayerNorm))
        inner.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(2)
        network(waves, lengths)[:, 0].sum().backward()
        assert len(calls) == 1 + again
        found.append({n: p.grad for n, p in network.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert any(name.startswith("encoder.") for name in found[0])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_two_stages_and_one(corpus: tuple[Path, Path], hubert: Path, tmp_path: Path) -> None:
    start = dict(load_speech(hubert).named_parameters())

    def moved(name: str, *settings: str) -> bool:
        run = train_run(experiment(corpus, hubert, tmp_path / name, settings), "Session1", 1)
        return any(not torch.equal(weights(run)[f"encoder.{name}"], start[name]) for name in start)

    # the best epoch is the first one: in it the head learns alone, or nothing does
    assert not moved("two", "training.epochs=1", "tuned.head_part=0.99")
    assert moved("one", "training.epochs=1")


def ramps(count: int) -> list[Speech]:
    """Utterances of 3000 samples that say where they are, two of three of the second class."""
    wave = torch.arange(3000) / 3000
    return [Speech(f"r{n}", "s", "c", (0, 1, 1)[n % 3], 3000, lambda: wave, Kept(None)) for n in range(count)]


def test_settings_of_batches_and_losses_count(hubert: Path) -> None:
    data = TuningDataConfig(
        batch_seconds=1.0, max_seconds=0.1, mask_starts=0.3, mask_length=2, class_weights="balanced"
    )
    config, target = FinetuneConfig(data=data), Target("emotion", classes=("angry", "sad"))
    network = TunedNetwork(config, load_speech(hubert), 2, False)
    task = FinetuneTask(config, target, network, ramps(6), ramps(3), seed=1, device="cpu")
    (batch,) = task.batches(1, 0)
    # other stretches of max_seconds every time
    assert batch.lengths.tolist() == [1600] * 6
    begins = {round(float(wave[0]) * 3000) for wave in batch.waveforms}
    assert len(begins) > 3
    assert max(begins) <= 1400
    assert batch.mask is not None
    assert 0 < batch.mask.float().mean() < 1
    task.model = lambda *inputs: torch.zeros(6, 2)  # type: ignore[assignment, misc]
    batch = replace(batch, labels=torch.tensor([0, 0, 0, 0, 1, 1]))
    # 2 of 6 utterances that train are of class 0, and count 1.5; 4 of class 1, and count 0.75
    assert float(task.loss(batch)[0]) == pytest.approx(np.log(2) * (4 * 1.5 + 2 * 0.75) / 6, rel=1e-5)
    network.train()
    one, other = (predict(network, ramps(2), config, task.objective, "cpu")[0] for _ in range(2))
    assert torch.equal(one, other)


def test_bfloat16(corpus: tuple[Path, Path], hubert: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        network = TunedNetwork(FinetuneConfig(), load_speech(hubert), 2, False).eval()
        waves, lengths = torch.randn(2, 3200), torch.tensor([3200, 3000])
        exact = network(waves, lengths)
        network.train_in(torch.bfloat16)
        rounded = network(waves, lengths)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05
    run = train_run(experiment(corpus, hubert, tmp_path, ["precision=bfloat16"]), "Session1", 1)
    assert all(value.dtype == torch.float32 for value in weights(run).values())
    table = read_predictions(run / "predictions.csv").select(part="test")
    assert (table.outputs.argmax(1) == table.labels).mean() > 0.7


def test_what_the_head_reads_is_standardised_by_the_training_part(
    corpus: tuple[Path, Path], hubert: Path, tmp_path: Path
) -> None:
    settings = ["head.scale=standardise", "head.layers=[1,3]", "training.epochs=1"]
    found = weights(train_run(experiment(corpus, hubert, tmp_path, settings), "Session1", 1))
    encoder, train = load_speech(hubert), read_folds(corpus[1]).folds[0].train
    waves = [torch.from_numpy(soundfile.read(corpus[0].parent / f"{name}.wav", dtype="float32")[0]) for name in train]
    states = torch.cat(hidden_states(encoder, waves, [1, 3]), 1)
    for place, layer in enumerate(states):
        own = slice(place * 16, place * 16 + 16)
        torch.testing.assert_close(found["head.input_mean"][own], layer.mean(0), rtol=0, atol=1e-5)
        torch.testing.assert_close(1 / found["head.input_scale"][own], layer.std(0), rtol=1e-3, atol=1e-5)


def test_from_random_weights_as_a_control(corpus: tuple[Path, Path], hubert: Path, tmp_path: Path) -> None:
    settings = ["tuned.start=random", "tuned.part=all", "training.epochs=1"]
    runs = [train_run(experiment(corpus, hubert, tmp_path, settings), "Session1", seed) for seed in (1, 2)]
    one, two = map(weights, runs)
    start = dict(load_speech(hubert).named_parameters())
    name = next(name for name in start if name.endswith("layers.0.attention.q_proj.weight"))
    assert not torch.allclose(one[f"encoder.{name}"], two[f"encoder.{name}"], atol=0.01)
    assert not torch.allclose(one[f"encoder.{name}"], start[name], atol=0.05)
    assert any("random weights" in line for line in read_run("run", runs[0]).info["remarks"])
    with pytest.raises(ValueError, match="random weights must all learn"):
        TunedConfig(start="random")


def test_a_model_that_saw_the_train_part_of_the_fold_alone(
    corpus: tuple[Path, Path], hubert: Path, tmp_path: Path
) -> None:
    fold = read_folds(corpus[1]).folds[0]
    shutil.copytree(hubert, tmp_path / "continued")
    for names, told in ((fold.train, "nothing that is tested"), (fold.train[1:], "WARNING"), ((), "WARNING")):
        card = {"corpora": ["tones"], "utterances": of_utterances(reversed(names)) if names else ""}
        (tmp_path / "continued/sertools.yaml").write_text(yaml.safe_dump(card))
        _, inputs = load_system(overrides=QUICK, given={"backbone": tmp_path / "continued"})(RunId(fold.name, 1))
        assert told in " ".join(inputs.remarks(["tones"], fold.train))
