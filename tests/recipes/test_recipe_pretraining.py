"""egs/benchmark/run_pretraining.sh: recognisers of more and more demo speech, to the curve on the page."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from test_recipe_benchmark import DEMO
from test_recipe_demo import SMALL_TDNNF

pytestmark = pytest.mark.recipe

SCRIPT = "run_pretraining.sh"
SPEECH = """
tedlium2: {train_talks: 2, dev_talks: 1, test_talks: 1, sentences: 8, lm_sentences: 20}
"""
LAYERS = "[tdnnf2, tdnnf3]"
OPTIONS = ("--minutes", "0.4 all", "--network", "tiny", "--tasks", "iemocap_to_msp", "--num-seeds", "1", "--nj", "1",
           "--systems", "s1/pooled", "--level", "s1/pooled_mfcc")  # fmt: skip


def test_from_demo_speech_to_the_curve(recipe: Callable[[str], Any]) -> None:
    recipe("tedlium2")
    bench = recipe("benchmark")
    bench.script = SCRIPT
    bench.write("conf/demo.yaml", DEMO + SPEECH)
    bench.write("../common/conf/lfmmi/tiny.yaml", SMALL_TDNNF.replace("IVECTORS", "0"))
    bench.write(
        "../common/conf/lfmmi/tiny_random.yaml",
        "base: tiny.yaml\ntraining: {epochs: 1, learning_rate: 1.0e-12, final_learning_rate: 1.0e-12}",
    )
    bench.write("conf/features/bottleneck.yaml", f"bottleneck: {{layers: {LAYERS}}}")
    bench.write("conf/s1/pooled.yaml", f"model: {{layers: {LAYERS}}}\ntraining: {{epochs: 2}}")
    bench.run(*OPTIONS)
    found = json.loads(bench.read("exp/curve/iemocap_to_msp/curve.json"))
    (less, more) = found["curves"]["pooled_demo"]
    assert 0.4 <= less["size"] < 0.6 < more["size"] < 3
    assert list(found["levels"]) == ["pooled_random_weights", "pooled_mfcc"]
    assert len(found["differences"]) == 5
    table = json.loads(bench.read("exp/benchmark/benchmark.json"))["tasks"][0]["systems"]
    assert {row["system"] for row in table} == {
        "pooled_mfcc",
        "pooled_from_demo_0.4_tiny_random_small",
        "pooled_from_demo_0.4_tiny_small",
        "pooled_from_demo_tiny_small",
    }
    listed = bench.read("exp/pretrained_networks").split()
    assert listed == [f"../tedlium2/exp/demo_{part}tiny_small" for part in ("0.4_", "")]
    assert "over minutes of transcribed speech" in bench.read("exp/benchmark/benchmark.html")
    # all of it is done
    bench.run(*OPTIONS, "--stage", "3")
    for name in ("../tedlium2/exp/demo_tiny_small/log/train.log", "exp/log/curve_iemocap_to_msp.log"):
        assert "is up to date" in bench.read(name), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--minutes", "ten"), "--minutes ten: a number above 0 is needed, as 10 or 2.5, or all"),
        (("--minutes", "mine:10"), "--minutes mine:10: --speech has no mine, but demo"),
        (("--minutes", " "), "--minutes is empty: nothing would be pretrained"),
        (("--speech", "/data/cuts.jsonl.gz"), "--speech '/data/cuts.jsonl.gz': NAME=PATH is needed"),
        (
            ("--speech", "a_10=/x.jsonl a=/y.jsonl", "--minutes", "10 all"),
            "--speech: 'a 10' and 'a_10 all' (name, minutes) would both be called a_10",
        ),
        (("--speech", "a+b=/x.jsonl"), "--speech a+b=/x.jsonl: a name without + and comma is needed"),
        (
            ("--seeds", "1,2"),
            '--seeds 1,2: whole numbers from 1 on are needed, with spaces between, as in --seeds "1 2',
        ),
        (("--seeds", "1 0"), "--seeds 0: whole numbers from 1 on are needed"),
        (("--seeds", "2 1 2"), "--seeds: 2 is there twice"),
        (("--seeds", " "), "--seeds is empty: nothing would be pretrained"),
        (("--network", "none_such"), "there is no ../common/conf/lfmmi/none_such.yaml"),
        (("--systems", "s1/tdnn"), "--systems s1/tdnn is carried from no pretrained network"),
        (
            ("--systems", "s1/s1", "--level", "s1/pooled"),
            "--level s1/pooled needs a pretrained network; name it in --systems",
        ),
    ],
)
def test_mistakes(recipe: Callable[[str], Any], options: tuple[str, ...], message: str) -> None:
    bench = recipe("benchmark")
    bench.script = SCRIPT
    refused = bench.run(*options, check=False)
    assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
