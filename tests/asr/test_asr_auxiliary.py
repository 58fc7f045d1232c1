"""Classes learnt beside words: what they are, their loss and dev scores, and a trunk that is carried without them."""

import dataclasses
import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.cut import Cut
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from sertools.asr.apply import load_acoustic_model, log_likelihoods
from sertools.asr.auxiliary import UNKNOWN, Auxiliary, AuxiliaryConfig, read_auxiliary
from sertools.asr.lfmmi_system import AsrConfig
from sertools.asr.training import train_asr
from sertools.config import load_config
from sertools.data.transcribed import DataConfig
from sertools.emotion.tdnn.config import EmotionConfig, TransferConfig
from sertools.emotion.tdnn.kind import KIND
from sertools.emotion.tdnn.pretrained import load_pretrained
from sertools.errors import UserError
from sertools.models.asr import AcousticModel, AcousticModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions, TrainingConfig

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=24, bottleneck_dim=12, prefinal_dim=12, strides=(0, 1, 3))
PLAIN = AsrConfig(
    model=AcousticModelConfig(TRUNK, 24, 12),
    data=DataConfig(batch_frames=900),
    training=TrainingConfig(epochs=6, learning_rate=1e-2, final_learning_rate=2e-3, select_by="dev_loss"),
    dropout=0.0,
)
CONFIG = dataclasses.replace(PLAIN, auxiliary=AuxiliaryConfig(("first", "gender"), 0.3))
CONF = Path(__file__).parents[2] / "egs/common/conf/lfmmi"


def rewritten(path: Path, out: Path, change: Any) -> Path:
    """A manifest with the supervision of every cut changed; ``change(number, cut, supervision)``."""
    cuts = list(CutSet.from_file(path))
    for number, cut in enumerate(cuts):
        change(number, cut, cut.supervisions[0])
    CutSet.from_cuts(cuts).to_file(out)
    return out


@pytest.fixture(scope="module")
def labelled(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``first`` can be heard: which letter most is said; ``gender`` is known of half, and cannot."""

    def change(number: int, cut: Cut, supervision: Any) -> None:
        text = supervision.text
        supervision.custom = {"corpus": "tiny", "first": "c" if 2 * text.count("c") >= text.count("a") else "a"}
        supervision.gender = ("f", "m")[number // 2 % 2] if number % 2 else None

    directory = tmp_path_factory.mktemp("labelled")
    train, dev = (rewritten(path, directory / path.name, change) for path in (tiny.train, tiny.dev))
    return dataclasses.replace(tiny, train=train, dev=dev)


def run(corpus: Any, out: Path, config: AsrConfig = CONFIG, **options: Any) -> Path:
    return train_asr(config, corpus.lang, corpus.graphs, corpus.train, corpus.dev, out, **options)


@pytest.fixture(scope="module")
def trained(labelled: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(labelled, tmp_path_factory.mktemp("exp"))


def last(checkpoint: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((checkpoint.parent / "history.jsonl").read_text().splitlines()[-1])
    return found


HEADS = Auxiliary(0.25, {"speaker": ("a", "b", "c"), "gender": ("f", "m")}, {}, {})
LABELS = [(0, 1), (2, UNKNOWN), (UNKNOWN, UNKNOWN), (1, 0), (2, 1)]
POSSIBLE = torch.tensor([True, True, True, False, True])
LENGTHS = torch.tensor([5, 9, 2, 7, 1])


def test_loss_is_the_sum_over_frames_of_known_classes() -> None:
    """Each utterance's cross-entropies count for its frames; one without a path, or a class, counts nothing."""
    torch.manual_seed(2)
    scores = torch.randn(5, 5, dtype=torch.float64)
    wanted = 0.0
    for row, (labels, length, counts) in enumerate(zip(LABELS, LENGTHS.tolist(), POSSIBLE.tolist(), strict=True)):
        for label, own in zip(labels, (scores[row, :3].numpy(), scores[row, 3:].numpy()), strict=True):
            if counts and label != UNKNOWN:
                wanted -= length * np.log(np.exp(own[label]) / np.exp(own).sum())
    frames = 5 + 9 + 2 + 1
    assert float(HEADS.loss(scores, LABELS, LENGTHS, POSSIBLE)) == pytest.approx(0.25 * wanted / frames, rel=1e-12)
    nobody = HEADS.loss(scores.requires_grad_(), LABELS, LENGTHS, torch.zeros(5, dtype=torch.bool))
    nobody.backward()
    assert float(nobody.detach()) == float(scores.grad.abs().max()) == 0.0


def test_gradients_of_head_and_trunk_are_those_of_differences() -> None:
    torch.manual_seed(3)
    model = AcousticModel(AcousticModelConfig(dataclasses.replace(TRUNK, prefinal_dim=3), 24, 12), 7, num_auxiliary=5)
    hidden = torch.randn(5, 9, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    assert model.double().auxiliary is not None

    def loss(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        del model.auxiliary.weight
        model.auxiliary.weight = weight
        return HEADS.loss(model.auxiliary_scores(hidden, LENGTHS), LABELS, LENGTHS, POSSIBLE)

    assert torch.autograd.gradcheck(loss, (hidden, weight))


def test_dev_scores_are_scikit_learns() -> None:
    generator = np.random.default_rng(1)
    labels = [(int(speaker), UNKNOWN) for speaker in generator.integers(-1, 2, 60)]  # nobody is of class c
    scores = torch.from_numpy(generator.normal(0, 1, (60, 5)))
    hits = HEADS.hits(scores[:25], labels[:25]) + HEADS.hits(scores[25:], labels[25:])
    known = [row for row, (speaker, _) in enumerate(labels) if speaker != UNKNOWN]
    true, found = [labels[row][0] for row in known], scores[known, :3].argmax(1).tolist()
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        wanted = balanced_accuracy_score(true, found)
    # gender is known of nobody, and has no score
    assert HEADS.dev_scores(hits) == {
        "dev_speaker_ua": pytest.approx(wanted), "dev_speaker_wa": pytest.approx(accuracy_score(true, found))
    }  # fmt: skip


def test_classes_are_those_of_the_training_cuts(tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def change(number: int, cut: Cut, supervision: Any) -> None:
        supervision.speaker = ("s2", "s1", None)[number % 3]
        supervision.custom = {"room": number % 2} if number else {"room": ""}

    def other(number: int, cut: Cut, supervision: Any) -> None:
        supervision.speaker = ("s1", "s9")[number % 2]
        supervision.custom = {"room": 7}
        if number == 0:
            cut.supervisions.append(dataclasses.replace(supervision, id="more", speaker="s2"))

    train = rewritten(tiny.train, tmp_path / "train.jsonl.gz", change)
    dev = rewritten(tiny.dev, tmp_path / "dev.jsonl.gz", other)
    found = read_auxiliary(AuxiliaryConfig(("speaker", "room")), train, dev)
    assert found.classes == {"speaker": ("s1", "s2"), "room": ("0", "1")}
    assert list(found.train.values())[:4] == [(1, UNKNOWN), (0, 1), (UNKNOWN, 0), (1, 1)]
    # two speakers in one cut, one of whom nobody has heard, and one whom training knows
    assert list(found.dev.values())[:3] == [(UNKNOWN, UNKNOWN), (UNKNOWN, UNKNOWN), (0, UNKNOWN)]
    assert found.num_outputs == 4
    assert "no utterance of dev is of a room of the training cuts: there is no dev_room_ua" in caplog.text


@pytest.mark.parametrize(
    ("field", "message"),
    [("speaker", "one speaker alone, 's', and a head needs two classes"), ("accent", "have no accent, and a head")],
)
def test_fewer_than_two_classes(tiny: Any, tmp_path: Path, field: str, message: str) -> None:
    config = dataclasses.replace(PLAIN, auxiliary=AuxiliaryConfig((field,)))
    with pytest.raises(UserError, match=f"{message}.*leave {field} out of auxiliary.fields"):
        run(tiny, tmp_path, config)


@pytest.mark.parametrize("values", ["{fields: []}", "{fields: [a, a]}", "{fields: [a], weight: 0}"])
def test_settings_that_cannot_be(values: str) -> None:
    with pytest.raises(UserError, match=r"fields must be|weight must be"):
        load_config(AsrConfig, None, [f"auxiliary={values}"])


def test_the_recipes_network_with_speakers() -> None:
    plain, found = (load_config(AsrConfig, CONF / f"tdnnf_narrow{name}.yaml") for name in ("", "_multitask"))
    assert dataclasses.replace(found, auxiliary=None) == plain
    assert found.auxiliary == AuxiliaryConfig(("speaker",), 0.1)


def test_learns_what_can_be_heard(labelled: Any, trained: Path) -> None:
    scores = last(trained)
    assert scores["dev_first_ua"] > 0.8
    assert 0 <= scores["dev_gender_ua"] <= 1
    assert scores["train_loss"] > 0
    loaded = load_acoustic_model(trained)
    assert loaded.info["auxiliary"] == {"first": ["a", "c"], "gender": ["f", "m"]}
    assert loaded.config == CONFIG
    assert len(dict(log_likelihoods(loaded, labelled.dev))) == 12
    assert set(load_pretrained(trained).weights) == set(loaded.model.trunk.state_dict())


def test_who_is_tested_on_its_labels_says_so(trained: Path) -> None:
    need = KIND.needs(EmotionConfig(transfer=TransferConfig("pretrained")))[0]
    assert need.remarks is not None
    (said,) = need.remarks(trained, ["tiny", "other"], [])
    assert said.startswith(
        "PRETRAINED ON tiny, on which it is tested, AND ON ITS LABELS: the network has learnt first, "
    )


def test_of_no_weight_it_is_the_training_of_words(labelled: Any, tmp_path: Path) -> None:
    """Heads change nothing but by their gradients; without them a stamp is what it was before there were any."""
    brief = dataclasses.replace(PLAIN, training=dataclasses.replace(PLAIN.training, epochs=1))
    plain = load_checkpoint(run(labelled, tmp_path / "plain", brief))
    light = dataclasses.replace(brief, auxiliary=AuxiliaryConfig(("first",), 1e-12))
    beside = load_checkpoint(run(labelled, tmp_path / "beside", light))
    assert set(beside.weights) - set(plain.weights) == {"auxiliary.weight", "auxiliary.bias"}
    for name, value in plain.weights.items():
        torch.testing.assert_close(beside.weights[name], value, atol=1e-4, rtol=1e-4, msg=name)
    assert "auxiliary" not in plain.config
    assert "auxiliary" not in plain.info
    heavy = dataclasses.replace(brief, auxiliary=AuxiliaryConfig(("first",), 1.0))
    other = load_checkpoint(run(labelled, tmp_path / "heavy", heavy)).weights["trunk.prefinal.weight"]
    assert not torch.allclose(other, plain.weights["trunk.prefinal.weight"], atol=1e-2)


def test_starts_with_heads_or_without(
    labelled: Any, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Heads of the same classes go on; of others they are new, and a network of words leaves them behind."""
    caplog.set_level(logging.INFO)
    training = dataclasses.replace(PLAIN.training, epochs=1, learning_rate=1e-12, final_learning_rate=1e-12)
    still = dataclasses.replace(CONFIG, training=training, orthonormal_every=0)
    given = load_checkpoint(trained).weights

    def new(name: str, init: Path, **changes: Any) -> set[str]:
        weights = load_checkpoint(
            run(labelled, tmp_path / name, dataclasses.replace(still, **changes), init=init)
        ).weights
        return {name for name, value in weights.items()
                if "running" not in name and "num_batches" not in name
                and not torch.allclose(value, given[name], atol=1e-6)}  # fmt: skip

    assert new("same", trained) == set()
    assert new("turned", trained, auxiliary=AuxiliaryConfig(("gender", "first"))) == {
        "auxiliary.weight",
        "auxiliary.bias",
    }
    assert new("words", trained, auxiliary=None) == set()
    caplog.clear()
    assert new("again", tmp_path / "words" / "checkpoint") == {"auxiliary.weight", "auxiliary.bias"}
    assert "new are auxiliary.weight, auxiliary.bias" in caplog.text


def test_on_a_gpu_as_on_the_cpu(cuda: "FakeCuda", labelled: Any, tmp_path: Path) -> None:
    brief = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, epochs=1))
    found = []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        with place:
            found.append(last(run(labelled, tmp_path / device, brief, conditions=Conditions(device=device))))
    assert found[0].pop("seconds") != found[1].pop("seconds")
    assert found[0] == pytest.approx(found[1], rel=1e-3)
