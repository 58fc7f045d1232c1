#!/usr/bin/env bash
# TED-LIUM 2: an LF-MMI TDNN-F from transcribed speech, for recognition and for pretraining.
#
#   ./run.sh                                        on the demo corpus
#   ./run.sh --corpus /data/TEDLIUM_release2        on the real one
#   ./run.sh --stage 9 --a2w-system a2w             the acoustic-to-word recogniser
#   ./run.sh --stage 2 --manifests DIR --name mine  on your own: DIR/cuts_{train,dev,test}.jsonl.gz
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of TEDLIUM_release2; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without segments whose audio or transcript is broken"
option manifests ""     "instead of a corpus: folder of lhotse cuts with transcripts; begin with stage 2"
option prefix cuts      "with --manifests: the files are PREFIX_{train,dev,test}.jsonl.gz"
option name other       "with --manifests: data/NAME and exp/NAME_... is where things go"
option dictionary ""    "pronunciations (.dic, lexicon.txt); empty: TED-LIUM's; with --manifests: see --units"
option units characters "with --manifests and no --dictionary: characters or sentencepiece"
option lm_text ""       "a text for the language model besides the transcripts, a sentence a line"
option arpa ""          "a word language model in ARPA format; empty: one is estimated"
option ivectors true    "train an i-vector extractor, and give the network i-vectors"
option system ""        "conf/lfmmi/SYSTEM.yaml says what is trained; empty: tdnnf_1g, on the demo tdnnf_demo"
option graphs graphs    "conf/lfmmi/GRAPHS.yaml: topology and phone language model (graphs, graphs_biphone, graphs_ctc)"
option lattices true    "keep the lattices of decoding, which stage 11 rescores"
option a2w_system ""    "conf/a2w/A2W_SYSTEM.yaml: the acoustic-to-word recogniser; empty: a2w, on the demo a2w_demo"
option vocabulary vocabulary "its conf/a2w/VOCABULARY.yaml: words (vocabulary) or pieces (vocabulary_pieces)"
option init ""          "checkpoint of an acoustic model of the same shape to start from; its phones may be others"
option a2w_init ""      "checkpoint of a recogniser of the same shape to start from; its vocabulary may be another"
option seed 1           "of the network's initialisation and training; if not 1, exp/NAME_seedSEED"
option nj 2             "jobs of feature and i-vector extraction"
option num_threads 2    "threads of i-vector training"
option gpu 0            "GPUs of the network's training (on each machine) and of decoding"
option nodes 1          "machines of the acoustic model's training; more need Slurm"
option tasks_per_node 1 "its processes on each machine, one a GPU; they share every batch"
parse_options "$@"

# what is made from synthetic speech never lies where real results are
where=demo exp=exp/demo_ demo=true lang_conf=lang ivector_conf=ivector_small
if [ -n "$manifests" ]; then
  [[ $name != */* && $name != .* ]] || recipe_error "--name $name: a name is needed, not a path"
  where=$name exp=exp/${name}_ demo=false
elif [ -n "$corpus" ]; then
  where=real exp=exp/ demo=false ivector_conf=ivector
fi
data=data/$where dataset=tedlium2
release=${corpus:-$data/corpus/TEDLIUM_release2}
if [ -z "$system" ]; then
  system=tdnnf_1g
  if [ "$where" = demo ]; then system=tdnnf_demo; fi
fi
if [ -z "$a2w_system" ]; then
  a2w_system=a2w
  if [ "$where" = demo ]; then a2w_system=a2w_demo; fi
fi
if [ -z "$manifests" ]; then
  manifests=$data/manifests
  prefix=tedlium2_cuts
  dictionary=${dictionary:-$release/TEDLIUM.152k.dic}
fi
pronunciations=()
if [ -n "$dictionary" ]; then
  pronunciations=(--dictionary "$dictionary")
else
  lang_conf=lang_$units
fi
texts=("$manifests/${prefix}_train.jsonl.gz")
if [ -n "$lm_text" ]; then texts+=("$lm_text"); fi
features=$data/mfcc
if $ivectors; then features=$data/ivector; fi
heard="train dev test"
if [ "$manifests" != "$data/manifests" ] && [ -e "$manifests/${prefix}_train.jsonl.gz" ] &&
  [ ! -e "$manifests/${prefix}_test.jsonl.gz" ]; then
  ((stop_stage < 8)) || recipe_error "$manifests has no ${prefix}_test.jsonl.gz, which stage 8 decodes; without one: --stop-stage 7"
  heard="train dev"
fi
model=$exp$system${graphs#graphs}${init:+_init}$(seed_suffix "$seed")
extractor=${exp}ivector
a2w=$exp$a2w_system${vocabulary#vocabulary}${a2w_init:+_init}$(seed_suffix "$seed")

if stage 0 "Demo corpus"; then
  if $demo; then make_demo_corpus; else echo "not needed: there is --corpus or --manifests"; fi
fi

if stage 1 "Manifests"; then
  if [ "$manifests" = "$data/manifests" ]; then prepare_corpus; else echo "not needed: --manifests is given"; fi
fi

if stage 2 "Lexicon and language models"; then
  config "lang/$lang_conf"
  $train_cmd "$data/log/prepare_lang.log" prepare_lang.py "${config[@]}" "${pronunciations[@]}" \
    "${texts[@]}" "$data/lang"
  if [ -z "$arpa" ]; then
    config lang/lm
    $train_cmd "$data/log/make_word_lm.log" make_word_lm.py "${config[@]}" \
      --dev "$manifests/${prefix}_dev.jsonl.gz" "$data/lang" "${texts[@]}" "$data/lm"
  fi
fi

if stage 3 "MFCC features"; then
  for part in $heard; do
    conf=mfcc
    if [ "$part" = train ]; then conf=mfcc_train; fi
    compute_features mfcc "$manifests/${prefix}_$part.jsonl.gz" "$part" $conf
  done
fi

if stage 4 "I-vector extractor"; then
  if $ivectors; then
    config ivector/$ivector_conf
    $train_cmd --num-threads "$num_threads" "$extractor/log/train.log" train_ivector.py "${config[@]}" \
      --workers "$num_threads" "$data/mfcc/train/cuts.jsonl.gz" "$extractor"
  else
    echo "not needed: --ivectors is false"
  fi
fi

if stage 5 "I-vectors"; then
  if $ivectors; then
    for part in $heard; do
      config ivector/ivector_test
      if [ "$part" = train ]; then config ivector/$ivector_conf; fi
      $train_cmd JOB=1:"$nj" "$data/log/ivector_$part.JOB.log" extract_ivectors.py "${config[@]}" \
        --job JOB --num-jobs "$nj" "$data/mfcc/$part/cuts.jsonl.gz" "$extractor/model" "$data/ivector/$part"
      $train_cmd "$data/log/collect_ivector_$part.log" extract_ivectors.py "${config[@]}" \
        "$data/mfcc/$part/cuts.jsonl.gz" "$extractor/model" "$data/ivector/$part"
    done
  else
    echo "not needed: --ivectors is false"
  fi
fi

if stage 6 "LF-MMI graphs"; then
  config "lfmmi/$graphs"
  $train_cmd "$data/log/make_lfmmi_graphs.log" make_lfmmi_graphs.py "${config[@]}" \
    --lang "$data/lang" --cuts "$manifests/${prefix}_train.jsonl.gz" "$data/$graphs"
fi

if stage 7 "Acoustic model"; then
  start=()
  if [ -n "$init" ]; then start=(--init "$init"); fi
  config "lfmmi/$system"
  share_training
  $cuda_cmd --gpu "$gpu" "${tasks[@]}" "$model/log/train.log" train_asr.py "${config[@]}" \
    --seed "$seed" "${start[@]}" \
    --lang "$data/lang" --graphs "$data/$graphs" \
    --cuts "$features/train/cuts.jsonl.gz" --dev "$features/dev/cuts.jsonl.gz" "$model"
fi

if stage 8 "Decoding"; then
  keep=()
  if $lattices; then keep=(--lattices); fi
  config lfmmi/decode
  # phones need no word language model; the scale of the word language model is chosen on dev
  for part in dev test; do
    $decode_cmd --gpu "$gpu" "$model/log/decode_phones_$part.log" decode.py "${config[@]}" \
      --phone-lm "$data/$graphs" "$model/checkpoint" "$data/lang" "$features/$part/cuts.jsonl.gz" \
      "$model/decode_phones_$part"
  done
  $decode_cmd "$model/log/make_decoding_graph.log" make_decoding_graph.py "$data/$graphs" "$data/lang" \
    "${arpa:-$data/lm/lm.arpa.gz}" "$model/graph"
  $decode_cmd --gpu "$gpu" "$model/log/decode_dev.log" decode.py "${config[@]}" --graph "$model/graph" \
    "${keep[@]}" "$model/checkpoint" "$data/lang" "$features/dev/cuts.jsonl.gz" "$model/decode_dev"
  $decode_cmd --gpu "$gpu" "$model/log/decode_test.log" decode.py "${config[@]}" --graph "$model/graph" \
    --lm-scale-of "$model/decode_dev" "${keep[@]}" \
    "$model/checkpoint" "$data/lang" "$features/test/cuts.jsonl.gz" "$model/decode_test"
  cat "$model/decode_test/wer.txt"
fi

if stage 9 "Word vocabulary and filter banks"; then
  config "a2w/$vocabulary"
  $train_cmd "$data/log/make_$vocabulary.log" make_vocabulary.py "${config[@]}" \
    --other "$manifests/${prefix}_dev.jsonl.gz" --other "$manifests/${prefix}_test.jsonl.gz" \
    "$manifests/${prefix}_train.jsonl.gz" "$data/$vocabulary"
  for part in train dev test; do
    conf=fbank
    if [ $part = train ]; then conf=fbank_train; fi
    compute_features fbank "$manifests/${prefix}_$part.jsonl.gz" $part $conf
  done
fi

if stage 10 "Acoustic-to-word recogniser"; then
  share_training
  start=() graph=()
  config "a2w/$a2w_system"
  if [ -n "$a2w_init" ]; then start=(--init "$a2w_init"); fi
  if [ -d "$data/$graphs" ]; then graph=(--graphs "$data/$graphs"); fi
  $cuda_cmd --gpu "$gpu" "${tasks[@]}" "$a2w/log/train.log" train_a2w.py "${config[@]}" \
    --seed "$seed" \
    --vocabulary "$data/$vocabulary" --lang "$data/lang" "${graph[@]}" "${start[@]}" \
    --cuts "$data/fbank/train/cuts.jsonl.gz" --dev "$data/fbank/dev/cuts.jsonl.gz" "$a2w"
fi

if stage 11 "Words of the acoustic-to-word recogniser, and rescored lattices"; then
  # length normalisation, coverage and the weight of rescoring are chosen on dev
  for part in dev test; do
    search=() weight=()
    if [ $part = test ]; then search=(--search-of "$a2w/decode_dev") weight=(--weight-of "$a2w/rescore_dev"); fi
    config a2w/decode_a2w
    $decode_cmd --gpu "$gpu" "$a2w/log/decode_$part.log" decode_a2w.py "${config[@]}" "${search[@]}" \
      "$a2w/checkpoint" "$data/fbank/$part/cuts.jsonl.gz" "$a2w/decode_$part"
    if [ -e "$model/decode_$part/lattices.safetensors" ]; then
      config a2w/rescore_a2w
      $decode_cmd --gpu "$gpu" "$a2w/log/rescore_$part.log" rescore_a2w.py "${config[@]}" "${weight[@]}" \
        "$a2w/checkpoint" "$data/lang" "$model/decode_$part" "$data/fbank/$part/cuts.jsonl.gz" "$a2w/rescore_$part"
    else
      echo "$part is not rescored: stage 8 left no lattices in $model/decode_$part"
    fi
  done
  cat "$a2w/decode_test/wer.txt"
fi

finish
