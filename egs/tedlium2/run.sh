#!/usr/bin/env bash
# TED-LIUM 2: manifests and MFCC features of transcribed speech, for pretraining.
#
#   ./run.sh                                        on the demo corpus
#   ./run.sh --corpus /data/TEDLIUM_release2        on the real one
#
# Stages 2 and 4 to 8 (lexicon and language models, i-vectors, LF-MMI, decoding) are to come.
# shellcheck disable=SC2154  # the variables that option sets
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ./path.sh
. ./cmd.sh
. recipe.sh

option corpus ""        "folder of TEDLIUM_release2; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without segments whose audio or transcript is broken"
option nj 2             "jobs of feature extraction"
parse_options "$@"

data=data/demo
if [ -n "$corpus" ]; then data=data/real; fi
bad=()
if $skip_bad; then bad=(--skip-bad); fi

if stage 0 "Demo corpus"; then
  if [ -z "$corpus" ]; then
    $train_cmd $data/log/make_demo_corpus.log make_demo_corpus.py tedlium2 --config conf/demo.yaml $data/corpus
  else
    echo "not needed: --corpus is given"
  fi
fi

if stage 1 "Manifests"; then
  $train_cmd $data/log/prepare.log prepare_corpus.py tedlium2 "${bad[@]}" "${corpus:-$data/corpus}" $data/manifests
fi

if stage 3 "MFCC features"; then
  for part in train dev test; do
    conf=conf/mfcc.yaml
    if [ $part = train ]; then conf=conf/mfcc_train.yaml; fi
    $train_cmd JOB=1:"$nj" $data/log/mfcc_$part.JOB.log compute_features.py --config $conf \
      --job JOB --num-jobs "$nj" $data/manifests/tedlium2_cuts_$part.jsonl.gz $data/mfcc/$part
    $train_cmd $data/log/collect_mfcc_$part.log collect_features.py --config $conf \
      $data/manifests/tedlium2_cuts_$part.jsonl.gz $data/mfcc/$part
  done
fi

finish
