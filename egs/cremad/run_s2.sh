#!/usr/bin/env bash
# S2 on CREMA-D: speaker and gender recognition carried to emotion, by fine-tuning and by progressive networks.
#
#   ./run_s2.sh --corpus /data/CREMA-D                   by groups of actors: tested actors are new
#   ./run_s2.sh --corpus /data/CREMA-D --protocol s2     ten times ten folds (speaker-dependent, as S2)
#
# Functionals are openSMILE's: make env-opensmile (its licence is for research, not for commercial use).
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of AudioWAV; free: github.com/CheyneyComputerScience/CREMA-D (Git LFS)"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option system "dnn ptft_speaker prognet_speaker ptft_gender prognet_gender dnn_wide prognet_random probe_speaker multitask_speaker prognet_adapter_speaker svm" \
                        "what is trained: conf/s2/SYSTEM.yaml"
option against first    "what is compared: first (each with the first of --system), all (all pairs)"
option sources "speaker gender" "tasks whose networks are trained first, for systems whose names end in them"
option other ""         "the dnn experiment of another corpus, same protocol name, for ptft_other and prognet_other"
option others ""        "NAME=CHECKPOINT ...: dnn networks of any corpora, for ptft_NAME and prognet_NAME"
option protocol four    "conf/folds/PROTOCOL.yaml: four, two, six (new actors), s2 (speaker-dependent)"
option num_seeds 1      "trainings of every fold, with seeds 1 to N; one seed can mislead: for a paper take 5"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds), as stacks"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=cremad data=data results=exp/

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s2.sh
