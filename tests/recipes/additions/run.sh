#!/usr/bin/env bash
# A recipe for a toy corpus, with a toy feature, a toy system, a toy protocol and another metric.
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
# shellcheck source=../../../egs/common/begin.sh
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of the corpus"
option skip_bad false   "go on without what is broken"
option system nearest   "what is trained: conf/toy/SYSTEM.yaml"
option protocol toy     "conf/folds/PROTOCOL.yaml"
option num_seeds 1      "trainings of every fold"
option nj 1             "jobs of feature extraction"
option train_nj 1       "jobs of trainings"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=toy paper=toy data=data results=exp/
folds=$data/folds/$protocol cuts=$data/loudness/cuts.jsonl.gz inputs=() suffix=_$protocol

if stage 1 "Manifests"; then prepare_corpus; fi
if stage 2 "Folds"; then make_folds; fi
if stage 3 "Loudness"; then compute_features loudness; fi
if stage 4 "Systems"; then train_systems; fi
if stage 5 "Scores"; then score_systems; fi
finish
