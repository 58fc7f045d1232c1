#!/usr/bin/env python3
"""Compile the decoding graph: the topology of an acoustic model, a lexicon and a word language model.

    make_decoding_graph.py data/graphs data/lang data/lm/lm.arpa.gz exp/graph

GRAPHS is the folder of LF-MMI graphs that the model was trained with (make_lfmmi_graphs.py), which
names the topology.
"""

import logging
from pathlib import Path

from cli import parser, run
from sertools.asr.graphs import load_graphs
from sertools.decoding.run import GRAPH, make_decoding_graph
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("graphs_dir", type=Path, metavar="GRAPHS", help="folder of LF-MMI graphs")
    arguments.add_argument("lang_dir", type=Path, metavar="LANG", help="lang folder (prepare_lang.py)")
    arguments.add_argument("arpa", type=Path, metavar="LM", help="ARPA file (make_word_lm.py), perhaps .gz")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for the decoding graph")
    arguments.add_argument("--silence-prob", type=float, default=0.5, help="of optional silence (default: %(default)s)")
    options = arguments.parse_args()
    require_whole(options.lang_dir, "local/prepare_lang.py")
    require_whole(options.arpa, "local/make_word_lm.py, or given by you")
    graphs = load_graphs(options.graphs_dir)
    why = make_decoding_graph(graphs.topology, options.lang_dir, options.arpa, options.output_dir, options.silence_prob)
    logging.info("%s %s", options.output_dir / GRAPH, "is up to date" if why is None else f"made ({why})")


if __name__ == "__main__":
    run(main)
