"""Greedy decoding: the best pdf of each frame, without a language model and without k2.

The outputs of an LF-MMI network are trained beside a phone language model and mean little without
it: expect high error rates here, and see sertools.decoding.viterbi.
"""

from collections.abc import Sequence

import kaldialign
import torch
from torch import Tensor

from sertools.lfmmi.topology import Topology


def greedy_phones(log_likelihoods: Tensor, topology: Topology) -> list[int]:
    """The phones of the best pdf in each frame.

    With ``chain`` a phone begins where the best pdf is one of a first frame, or one of a further
    frame of another phone than that of the frame before.  With ``ctc`` repetitions are merged and
    blanks removed; a phone follows itself directly if its pdf becomes that of "after itself".

    Args:
        log_likelihoods: (T, P) of one utterance.
        topology: what the pdfs mean.

    Returns:
        phones, from 1.
    """
    return pdfs_to_phones(log_likelihoods.argmax(dim=1).cpu(), topology)


def pdfs_to_phones(pdfs: Tensor, topology: Topology) -> list[int]:
    """The phones of a sequence of pdfs, one a frame, (T,) int64; see :func:`greedy_phones`."""
    phones = topology.phones()[pdfs]
    begins = torch.ones_like(phones, dtype=torch.bool)
    if topology.config.kind == "chain":
        repeat = pdfs % 2 == 1
        begins[1:] = ~(repeat[1:] & (phones[1:] == phones[:-1]))
    else:
        doubled = (pdfs == topology.first(phones, phones))[1:] & (pdfs[1:] != pdfs[:-1])
        begins[1:] = (phones[1:] != phones[:-1]) | doubled
    return [int(phone) for phone in phones[begins] if phone != 0]


def phone_errors(reference: Sequence[int], hypothesis: Sequence[int], silence: int | None = None) -> tuple[int, int]:
    """Errors (insertions, deletions, substitutions) and number of phones in the reference.

    Args:
        reference: phones without silence.
        hypothesis: phones as decoded.
        silence: a phone to leave out of the hypothesis.
    """
    spoken = [phone for phone in hypothesis if phone != silence]
    return int(kaldialign.edit_distance(list(reference), spoken)["total"]), len(reference)
