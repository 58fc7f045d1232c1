"""Three-way speed perturbation and volume perturbation of training data (Ko et al. 2015).

As Kaldi's run_ivector_common.sh: speeds 0.9, 1.0 and 1.1, each a new speaker, then a random
volume for every utterance.
"""

import random

from lhotse import CutSet
from lhotse.cut import Cut

from sertools.files import json_hash

SPEEDS = (0.9, 1.0, 1.1)
VOLUMES = (0.125, 2.0)


def perturb(cuts: CutSet, *, speed: bool, volume: bool, seed: int = 0) -> CutSet:
    """Perturb a cut set.

    Args:
        cuts: with one supervision a cut.
        speed: add copies at speeds 0.9 and 1.1; ids end in ``_sp0.9``, and speakers, where they are
            known, begin with ``sp0.9-`` (another pitch is another voice to a speaker model).
        volume: scale every cut by a factor drawn from U[0.125, 2].
        seed: of the volumes.  A cut's factor depends on the seed and its own id only, so that
            adding utterances does not change the others.

    Returns:
        The perturbed cuts: all at 0.9, then 1.0, then 1.1.
    """
    result: list[Cut] = []
    for factor in SPEEDS if speed else (1.0,):
        for cut in cuts:
            if factor != 1.0:
                cut = cut.perturb_speed(factor).map_supervisions(
                    # nobody knows who speaks: no speaker at another speed either
                    lambda s, factor=factor: _with_speaker(s, f"sp{factor}-{s.speaker}") if s.speaker else s
                )
            if volume:
                generator = random.Random(json_hash([seed, cut.id]))
                # the affix would say the factor in the id, which must not depend on the seed
                cut = cut.perturb_volume(round(generator.uniform(*VOLUMES), 4), affix_id=False)
            result.append(cut)
    return CutSet.from_cuts(result)


def _with_speaker(supervision, speaker: str):  # type: ignore[no-untyped-def]
    supervision.speaker = speaker
    return supervision
