"""One decoding of one set of cuts by one acoustic model, with a stamp."""

import logging
from pathlib import Path

from sertools.asr.apply import load_acoustic_model, log_likelihoods
from sertools.asr.graphs import DENOMINATOR, load_graphs
from sertools.config import to_dict
from sertools.decoding.run import GRAPH, SCALE, DecodeConfig, Reference, decode_phones, decode_words, read_lm_scale
from sertools.errors import UserError
from sertools.files import only_writer
from sertools.lang.folder import load_lexicon
from sertools.lang.transcripts import transcript
from sertools.manifests import read_cuts
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS

log = logging.getLogger(__name__)


def decode_cuts(
    model_dir: Path,
    lang_dir: Path,
    cuts_path: Path,
    output_dir: Path,
    config: DecodeConfig,
    *,
    graph_dir: Path | None = None,
    scale_dir: Path | None = None,
    phone_lm_dir: Path | None = None,
    keep_lattices: bool = False,
    device: str = "cpu",
    ivector_chunk: int = 0,
) -> str | None:
    """Decode and score; see decode_words and decode_phones for the files.

    Args:
        model_dir: checkpoint of the acoustic model.
        lang_dir: the lang folder that it was trained with.
        cuts_path: cuts with features and transcripts.
        output_dir: for transcripts and scores.
        config: see DecodeConfig.
        graph_dir: decoding graph; None to decode phones (decode_phones).
        scale_dir: the output folder of the dev utterances, whose language model scale is taken;
            None to choose it on these cuts.
        phone_lm_dir: folder of the LF-MMI graphs, whose denominator phones are decoded with; None to
            decode them greedily.
        keep_lattices: write the lattices, too.
        device: of the network; the search runs on the CPU.
        ivector_chunk: see sertools.asr.apply.log_likelihoods.

    Returns:
        why it was done; None if it was up to date.

    Raises:
        UserError: something is missing, or model and lang folder have different phones.
    """
    inputs = {f"model {name}": model_dir / name for name in (WEIGHTS, CONFIG, INFO)}
    inputs |= {f"lang {name}": lang_dir / name for name in ("phones.txt", "words.txt", "lexiconp.txt", "lang.json")}
    inputs |= {"cuts": require_whole(cuts_path, "the feature stage (local/collect_features.py)")}
    if graph_dir is not None:
        inputs["graph"] = require_whole(graph_dir / GRAPH, "local/make_decoding_graph.py")
    if scale_dir is not None:
        inputs["scale"] = require_whole(scale_dir / SCALE, "local/decode.py on the dev cuts")
    if phone_lm_dir is not None:
        inputs["phone lm"] = require_whole(phone_lm_dir / DENOMINATOR, "local/make_lfmmi_graphs.py")
    for name, path in inputs.items():
        require_whole(path, "local/train_asr.py" if name.startswith("model") else "local/prepare_lang.py")
    settings = {"decode": to_dict(config), "lattices": keep_lattices, "ivector_chunk": ivector_chunk}
    with only_writer(output_dir):
        stamp = Stamp.of(settings, dict(inputs))
        why = why_stale(output_dir, stamp)
        if why is None:
            return None
        begin(output_dir)
        loaded, lexicon = load_acoustic_model(model_dir, device), load_lexicon(lang_dir)
        if loaded.phones != lexicon.phones:
            raise UserError(
                f"{model_dir} was trained with other phones than those of {lang_dir}; give its own lang folder"
            )
        references = {cut.id: Reference(cut.supervisions[0].speaker or "unknown", transcript(cut))
                      for cut in read_cuts(cuts_path)}  # fmt: skip
        scores = log_likelihoods(loaded, cuts_path, ivector_chunk=ivector_chunk)
        if graph_dir is None:
            phone_lm = None if phone_lm_dir is None else load_graphs(phone_lm_dir).denominator
            files = decode_phones(scores, references, loaded.topology, lexicon, output_dir, phone_lm)
        else:
            scale = None if scale_dir is None else read_lm_scale(scale_dir)
            files = decode_words(scores, references, graph_dir, lexicon, config, output_dir, scale, keep_lattices)
        write_stamp(output_dir, stamp, files)
    return why
