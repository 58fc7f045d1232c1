"""What the cases change for the worse: small corpora, their manifests, features, folds, and a trained system."""

import json
from pathlib import Path

from runner import Programs

TDNN = """
model:
  trunk: {hidden_dim: 8, bottleneck_dim: 4, prefinal_dim: 4, strides: [0, 1, 3]}
  layers: [tdnnf3]
  head_dim: 4
data: {batch_frames: 20000, max_frames: 100}
training: {epochs: 1, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3}
dropout: 0
"""
TDNNF = """
model:
  trunk: {ivector_dim: 0, hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 3]}
  head_dim: 16
  head_bottleneck_dim: 8
data: {batch_frames: 4000}
training: {epochs: 1, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3}
"""
CONF = {
    "tdnnf.yaml": TDNNF,
    "tdnn.yaml": TDNN,
    "mfcc.yaml": "mfcc: {}\n",
    "folds.yaml": "class_set: s1\nprotocol: paper\n",
    "lang.yaml": "units: dictionary\n",
    "lang_characters.yaml": "units: characters\n",
    "graphs.yaml": "{}",
}


def make(folder: Path, programs: Programs) -> None:
    """Everything, once."""
    (folder / "conf").mkdir(parents=True)
    for name, text in CONF.items():
        (folder / "conf" / name).write_text(text)
    for command in (
        "make_demo_corpus.py iemocap --jobs 1 --set improvised=1 --set scripted=1 --set turns=8 corpora/iemocap",
        "make_demo_corpus.py tedlium2 --jobs 1 --set train_talks=2 --set dev_talks=1 --set test_talks=1"
        " --set sentences=4 --set lm_sentences=20 corpora/tedlium2",
        "prepare_corpus.py iemocap corpora/iemocap data/manifests",
        "prepare_corpus.py tedlium2 corpora/tedlium2 data/manifests_asr",
        "compute_features.py --config conf/mfcc.yaml data/manifests/iemocap_cuts_all.jsonl.gz data/mfcc",
        "collect_features.py --config conf/mfcc.yaml data/manifests/iemocap_cuts_all.jsonl.gz data/mfcc",
        "make_folds.py --config conf/folds.yaml --supervisions data/manifests/iemocap_supervisions_all.jsonl.gz"
        " data/folds/paper",
        "train_emotion.py --config conf/tdnn.yaml --cuts data/mfcc/cuts.jsonl.gz --folds data/folds/paper"
        " --fold 1 --seed 1 exp/tdnn",
        "prepare_lang.py --config conf/lang.yaml --dictionary corpora/tedlium2/TEDLIUM_release2/TEDLIUM.152k.dic"
        " data/manifests_asr/tedlium2_cuts_train.jsonl.gz data/lang",
        "make_lfmmi_graphs.py --config conf/graphs.yaml --lang data/lang"
        " --cuts data/manifests_asr/tedlium2_cuts_train.jsonl.gz data/graphs",
        "compute_features.py --config conf/mfcc.yaml data/manifests_asr/tedlium2_cuts_dev.jsonl.gz data/mfcc_asr",
        "collect_features.py --config conf/mfcc.yaml data/manifests_asr/tedlium2_cuts_dev.jsonl.gz data/mfcc_asr",
    ):
        programs.must(command, folder)
    assert len(json.loads((folder / "data/folds/paper/folds.json").read_text())["folds"]) == 5
