"""The packages of the environments are there and do what the project needs of them."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sertools

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(sertools.__path__, "sertools.")]


def test_every_module_imports() -> None:
    assert len(modules()) > 30
    for name in modules():
        importlib.import_module(name)


def test_sertools_imports_without_k2_and_kaldifeat() -> None:
    program = BLOCK.format(blocked={"k2", "kaldifeat"}) + "\n".join(f"import {name}" for name in modules())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.k2
def test_k2_computes_the_ctc_loss_that_torch_computes() -> None:
    import k2

    torch.manual_seed(0)
    log_probs = torch.randn(2, 12, 5).log_softmax(-1)
    targets, lengths = [[1, 2, 2], [4, 3]], torch.tensor([12, 9])
    segments = torch.tensor([[i, 0, int(length)] for i, length in enumerate(lengths)], dtype=torch.int32)
    dense = k2.DenseFsaVec(log_probs, segments)
    scores = k2.intersect_dense(k2.ctc_graph(targets), dense, output_beam=100.0).get_tot_scores(
        log_semiring=True, use_double_scores=True
    )
    expected = torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1), torch.tensor([1, 2, 2, 4, 3]), lengths, torch.tensor([3, 2]), reduction="none"
    )
    torch.testing.assert_close(-scores.float(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.kaldifeat
def test_kaldifeat_runs_against_this_torch() -> None:
    import kaldifeat

    features = kaldifeat.Fbank(kaldifeat.FbankOptions())(torch.randn(16000) * 1000)
    assert features.shape == (98, 23)


def test_sentencepiece_learns_and_takes_apart(tmp_path: Path) -> None:
    import sentencepiece

    text = tmp_path / "text"
    text.write_text("kids are talking by the door\ndogs are sitting by the door\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "pieces"), vocab_size=30, hard_vocab_limit=False, minloglevel=2
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "pieces.model"))
    sentence = "dogs are talking by the door"
    assert model.decode(model.encode(sentence)) == sentence


def test_locks_have_a_hash_for_every_package(root: Path) -> None:
    for name in ("full.txt", "modern.txt", "k2.txt"):
        lines = [x for x in (root / "requirements" / name).read_text().splitlines() if x and not x.startswith("#")]
        assert lines
        assert all("==" in line and "--hash=sha256:" in line for line in lines), name
