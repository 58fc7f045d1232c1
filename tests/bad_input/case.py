"""What a kind of bad input is, and the files and commands that many have in common."""

from dataclasses import dataclass
from pathlib import Path

from spoil import (
    Spoil,
    nothing,
)

IEMOCAP = "corpora/iemocap/IEMOCAP_full_release"
TEDLIUM = "corpora/tedlium2/TEDLIUM_release2"
CUTS, SUPERVISIONS = "data/manifests/iemocap_cuts_all.jsonl.gz", "data/manifests/iemocap_supervisions_all.jsonl.gz"
FEATURES = "data/mfcc/cuts.jsonl.gz"
ASR_CUTS, ASR_FEATURES = "data/manifests_asr/tedlium2_cuts_train.jsonl.gz", "data/mfcc_asr/cuts.jsonl.gz"
MY_ASR_CUTS = f"mine/{Path(ASR_CUTS).name}"
MY_FEATURES = f"mine/{Path(FEATURES).name}"

PREPARE = "prepare_corpus.py iemocap corpora/iemocap out"
PREPARE_ASR = "prepare_corpus.py tedlium2 corpora/tedlium2 out"
MFCC = "compute_features.py --config conf/mfcc.yaml"
MAKE_FOLDS = f"make_folds.py --config conf/folds.yaml --supervisions {SUPERVISIONS} out"
MY_CUTS, MY_SUPERVISIONS = f"mine/{Path(CUTS).name}", f"mine/{Path(SUPERVISIONS).name}"
MY_FOLDS = f"make_folds.py --config conf/folds.yaml --supervisions {MY_SUPERVISIONS} out"
TRAIN = f"train_emotion.py --config conf/tdnn.yaml --cuts {FEATURES} --folds data/folds/paper"
PREDICT = "sertools predict --experiment exp/tdnn"

WAV = f"{IEMOCAP}/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
LABELS = f"{IEMOCAP}/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
PROMPT = b"Please enter your password, then press the pound key. "
TEXTS = f"{IEMOCAP}/Session1/dialog/transcriptions/Ses01F_impro01.txt"


@dataclass(frozen=True)
class Case:
    """A kind of bad input.

    Attributes:
        group: heading in the table.
        did: what the user did.
        command: what was typed.
        todo: what to do.
        spoil: makes it bad, in a copy of the material.
        recipe: of ./run.sh.
        powerless: root's power to write anywhere is given up.
        code: the exit code.
    """

    group: str
    did: str
    command: str
    todo: str
    spoil: Spoil = nothing
    recipe: str = ""
    powerless: bool = False
    code: int = 1
