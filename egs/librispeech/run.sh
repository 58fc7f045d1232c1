#!/usr/bin/env bash
# LibriSpeech: the acoustic-to-word recogniser of S4, for recognition and for S4's emotion systems.
#
#   ./run.sh                                     on the demo corpus
#   ./run.sh --corpus /data/LibriSpeech --gpu 1  on the real one
#   ./run.sh --corpus /data/LibriSpeech --train-subsets train-clean-100
#   ./run.sh --stage 4 --system a2w_small --corpus /data/LibriSpeech
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of LibriSpeech; empty: a demo corpus of synthetic speech"
option train_subsets "" "which train-* to train on, e.g. 'train-clean-100 train-clean-360'; empty: all that are there"
option skip_bad false   "go on without utterances whose audio or transcript is broken"
option dictionary ""    "pronunciations; empty: librispeech-lexicon.txt (openslr 11) in the corpus' folder"
option vocabulary vocabulary "conf/a2w/VOCABULARY.yaml: words (vocabulary) or pieces (vocabulary_pieces)"
option system ""        "conf/a2w/SYSTEM.yaml says what is trained; empty: a2w, on the demo a2w_demo"
option init ""          "checkpoint of a recogniser of the same shape and vocabulary to start from"
option seed 1           "of the network's initialisation and training; if not 1, exp/NAME_seedSEED"
option nj 2             "jobs of feature extraction"
option gpu 0            "GPUs of the training (on each machine) and of decoding"
option nodes 1          "machines of the training; more need Slurm"
option tasks_per_node 1 "its processes on each machine, one a GPU; they share every batch"
parse_options "$@"

# what is made from synthetic speech never lies where real results are
where=demo exp=exp/demo_ demo=true dataset=librispeech
[[ $train_subsets != */* ]] || recipe_error "--train-subsets $train_subsets: names are needed, not paths"
if [ -n "$corpus" ]; then
  where=real exp=exp/ demo=false
  # nor what is trained on a part where the whole is
  if [ -n "$train_subsets" ]; then where=${train_subsets// /_} exp=exp/${train_subsets// /_}_; fi
fi
data=data/$where
release=${corpus:-$data/corpus/LibriSpeech}
dictionary=${dictionary:-$release/librispeech-lexicon.txt}
if [ -z "$system" ]; then
  system=a2w
  if [ "$where" = demo ]; then system=a2w_demo; fi
fi
cuts=$data/manifests/librispeech_cuts
model=$exp$system${vocabulary#vocabulary}${init:+_init}$(seed_suffix "$seed")

# the parts besides train: dev is dev-clean, test is test-clean; the others if the corpus has them
tested() {
  local part
  for part in dev dev-other test test-other; do
    if [ "$part" = dev ] || [ -e "${cuts}_$part.jsonl.gz" ]; then echo "$part"; fi
  done
}

if stage 0 "Demo corpus"; then make_demo_corpus; fi

if stage 1 "Manifests"; then
  # shellcheck disable=SC2086  # several names
  prepare_corpus ${train_subsets:+--train-subsets $train_subsets}
fi

if stage 2 "Lexicon and vocabulary"; then
  config lang/lang
  $train_cmd "$data/log/prepare_lang.log" prepare_lang.py "${config[@]}" --dictionary "$dictionary" \
    "${cuts}_train.jsonl.gz" "$data/lang"
  others=()
  for part in $(tested); do others+=(--other "${cuts}_$part.jsonl.gz"); done
  config "a2w/$vocabulary"
  $train_cmd "$data/log/make_$vocabulary.log" make_vocabulary.py "${config[@]}" "${others[@]}" \
    "${cuts}_train.jsonl.gz" "$data/$vocabulary"
fi

if stage 3 "Filter banks"; then
  for part in train $(tested); do
    conf=fbank
    if [ "$part" = train ]; then conf=fbank_train; fi
    compute_features fbank "${cuts}_$part.jsonl.gz" "$part" $conf
  done
fi

if stage 4 "Acoustic-to-word recogniser"; then
  start=()
  if [ -n "$init" ]; then start=(--init "$init"); fi
  config "a2w/$system"
  share_training
  $cuda_cmd --gpu "$gpu" "${tasks[@]}" "$model/log/train.log" train_a2w.py "${config[@]}" \
    --seed "$seed" "${start[@]}" --vocabulary "$data/$vocabulary" --lang "$data/lang" \
    --cuts "$data/fbank/train/cuts.jsonl.gz" --dev "$data/fbank/dev/cuts.jsonl.gz" "$model"
fi

if stage 5 "Decoding"; then
  for part in $(tested); do
    search=()
    if [ "$part" != dev ]; then search=(--search-of "$model/decode_dev"); fi
    config a2w/decode_a2w
    $decode_cmd --gpu "$gpu" "$model/log/decode_$part.log" decode_a2w.py "${config[@]}" "${search[@]}" \
      "$model/checkpoint" "$data/fbank/$part/cuts.jsonl.gz" "$model/decode_$part"
    echo "$part: $(cat "$model/decode_$part/wer.txt")"
  done
fi

finish
