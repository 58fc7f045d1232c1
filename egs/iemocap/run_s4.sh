#!/usr/bin/env bash
# S4 on IEMOCAP: emotion from speech, words, and the states of an acoustic-to-word recogniser.
#
#   (cd ../tedlium2 && ./run.sh --stage 9)      the recogniser, on the demo corpus
#   ./run_s4.sh                                 on the demo corpus, from egs/tedlium2's demo recogniser
#   ./run_s4.sh --corpus DIR --recogniser ../librispeech/exp/a2w --num-seeds 5        as S4
#   ./run_s4.sh --stage 5 --system "s4_audio s4_asr_ser" --protocol improvised
#   ./run_s4.sh --stage 6 --others "tdnn=exp/demo_tdnn_s4"      beside systems of run.sh on the same folds
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of IEMOCAP_full_release; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option recogniser ""    "an acoustic-to-word experiment of egs/librispeech (S4's) or egs/tedlium2; empty: tedlium2's default"
option system "s4_audio s4_text s4_text_asr s4_combined s4_combined_asr s4_asr_ser" \
                        "what is trained: conf/s4/SYSTEM.yaml; the first is compared with each other"
option others ""        "NAME=EXPERIMENT ...: trained by run.sh on the same folds, each compared with all of --system"
option protocol s4      "conf/folds/PROTOCOL.yaml: s4, improvised, s4_random (speaker-dependent), merged"
option num_seeds 2      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=iemocap
real_or_demo
if [ -z "$recogniser" ]; then
  recogniser=../tedlium2/${results}a2w
  if $demo; then recogniser=../tedlium2/${results}a2w_demo; fi
fi

if stage 0 "Demo corpus"; then make_demo_corpus; fi
if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s4.sh
