"""The denominator graph: all phone sequences that the phone language model allows."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch

from sertools.errors import UserError
from sertools.lfmmi.graph import Graph, expand
from sertools.lfmmi.phone_lm import PhoneLm
from sertools.lfmmi.topology import Topology

PROPAGATION_STEPS = 100  # Kaldi's


@lru_cache(maxsize=4)
def make_denominator(lm: PhoneLm, topology: Topology) -> Graph:
    """The denominator graph of a phone language model, with Kaldi's initial and final probabilities.

    Initial: the distribution over states is propagated from the start state, each state
    normalised to sum to one with its final probability, and averaged over 100 steps
    (``DenominatorGraph::SetInitialProbs``).  Kaldi averages steps 1 to 100, since its chunks
    begin anywhere; here it is 0 to 99, so the start of an utterance keeps one hundredth and every
    sequence of phones that the model was estimated on has a path.
    Final: one for every state (``DenominatorComputation``: "we take the final-probs of all states
    to be 1.0").

    The same arguments give the same object: numerators ask for its initial probabilities.

    Raises:
        UserError: the language model has a phone that the topology lacks.
    """
    highest = max((arc[1] for arc in lm.arcs), default=0)
    if highest > topology.num_phones:
        raise UserError(
            f"the phone language model has phone {highest}, but the topology has {topology.num_phones} phones: "
            "both must come from one list of phones"
        )
    graph, lm_states = expand(lm, topology)
    ending = np.array([np.exp(lm.final.get(state, -np.inf)) for state in lm_states])
    initial = _average_occupation(graph, ending)
    return replace(
        graph,
        initial=torch.from_numpy(np.log(initial, where=initial > 0, out=np.full(len(initial), -np.inf))).float(),
        final=torch.zeros(graph.num_states),
    )


def _average_occupation(graph: Graph, ending: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean distribution over the states in the first steps of a walk from state 0."""
    size = graph.num_states
    weights = np.exp(graph.log_probs.numpy().astype(np.float64))
    walk = scipy.sparse.csr_matrix((weights, (graph.targets.numpy(), graph.sources.numpy())), shape=(size, size))
    leaving = np.asarray(walk.sum(axis=0)).ravel() + ending
    scale = np.divide(1.0, leaving, out=np.zeros(size), where=leaving > 0)
    now = np.zeros(size)
    now[0] = 1.0
    mean = np.zeros(size)
    for _ in range(PROPAGATION_STEPS):
        mean += now / PROPAGATION_STEPS
        now = walk @ (now * scale)
        if not now.sum() > 0:
            break
        now /= now.sum()
    return mean / mean.sum()
