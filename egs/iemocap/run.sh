#!/usr/bin/env bash
# S1 on IEMOCAP: layers of a pretrained network as features of emotion, from the corpus, or a synthetic one, to the
# comparison of systems.
#
#   ./run.sh                                          on the demo corpus, from egs/tedlium2's demo network
#   ./run.sh --corpus /data/IEMOCAP_full_release      on the real one, from egs/tedlium2's
#   ./run.sh --stage 6 --system "s1 s1_scratch" --protocol strict
#   ./run.sh --pretrained none --ivectors "" --system tdnn       without pretraining
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of IEMOCAP_full_release; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option pretrained ""    "an experiment of egs/tedlium2, with its checkpoint/; empty: its default; none"
option ivectors ivector "i-vectors for networks that take them, conf/ivector/IVECTORS.yaml; or empty"
option extractor ""     "an i-vector model; empty: the pretraining's, or with --pretrained none one a fold"
option system "s1:tdnnf12 s1:tdnnf13 s1:prefinal s1_scratch pooled" \
                        "what is trained: conf/s1/SYSTEM.yaml, or SYSTEM:LAYER; the first is compared with each other"
option choose_on_dev "s1_on_dev=s1:tdnnf12,s1:tdnnf13,s1:prefinal" \
                        "GROUP=SYSTEM,SYSTEM,...: in the comparison, a system that is in each fold the best on dev"
option protocol paper   "conf/folds/PROTOCOL.yaml: paper (S1), strict, merged, s4, improvised, scripted, random"
option num_seeds 2      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=iemocap home=tedlium2
real_or_demo
if [ -z "$pretrained" ]; then
  pretrained=../$home/${results}tdnnf_1g
  if $demo; then pretrained=../$home/${results}tdnnf_demo; fi
  extractor=${extractor:-../$home/${results}ivector/model}
fi
if [ "$pretrained" = none ]; then pretrained=; fi
transfer_inputs

if stage 0 "Demo corpus"; then make_demo_corpus; fi
if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s1.sh
