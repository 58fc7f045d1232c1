"""Lattice-free maximum mutual information (LF-MMI): topology, graphs and loss, as Kaldi's "chain" models.

Phone language model -> denominator graph; transcripts -> numerator graphs; both and network
outputs -> loss.  Knows tensors, not files.  Povey et al. (2016), "Purely sequence-trained neural
networks for ASR based on lattice-free MMI"; flat start: Hadian et al. (2018), "End-to-end speech
recognition using lattice-free MMI".
"""

from sertools.lfmmi.denominator import make_denominator
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.loss import Lfmmi, LfmmiConfig, LfmmiValue
from sertools.lfmmi.numerator import make_numerator, make_transcript_graph
from sertools.lfmmi.phone_lm import PhoneLm, estimate_phone_lm
from sertools.lfmmi.topology import Topology, TopologyConfig

__all__ = [
    "Graph",
    "Lfmmi",
    "LfmmiConfig",
    "LfmmiValue",
    "PhoneLm",
    "Topology",
    "TopologyConfig",
    "estimate_phone_lm",
    "make_denominator",
    "make_numerator",
    "make_transcript_graph",
]
