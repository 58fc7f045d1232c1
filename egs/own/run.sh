#!/usr/bin/env bash
# Your own labelled recordings: from a table of them to a comparison of systems, with baselines.
#
#   ./run.sh --table my.csv --audio recordings/          columns file, speaker, label (and others, see README.md)
#   ./run.sh --audio EmoDB/wav --conf corpora/emodb      a corpus whose file names say it: conf/corpora/EMODB.yaml
#   ./run.sh --manifests DIR                             Lhotse manifests that you have
#   ./run.sh --table my.csv --target arousal:number      a column of numbers; or of classes: --target gender
#   ./run.sh --table my.csv --pretrained ../tedlium2/exp/tdnnf_1g        layers of a pretrained network
#   ./run.sh --table my.csv --join ../ravdess/data/manifests --classes angry,sad        each corpus tested by the other
#
# conf/table.yaml says how the table is read: names of columns, labels that are merged or left out, encoding.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

own_options
option pretrained ""    "an experiment of egs/tedlium2, with its checkpoint/: layers of it are features then"
option ivectors ""      "i-vectors for networks that take them, conf/ivector/IVECTORS.yaml"
option extractor ""     "an i-vector model (that of --pretrained); empty: one a fold, of its train part's speakers"
option system ""        "conf/s1/SYSTEM.yaml; empty: tdnn pooled_mfcc (with --ivectors tdnn), with --pretrained pooled pooled_speaker s1"
option baseline svm     "a system on openSMILE's functionals: svm, s3a_functionals (a dense layer: ten minutes of labels), dnn; none"
option choose_on_dev "" "GROUP=SYSTEM,SYSTEM,...: in the comparison, a system that is in each fold the best on dev"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
parse_options "$@"

paper=s1 home=tedlium2
own_names
transfer_inputs
own_systems

if stage 1 "Manifests"; then prepare_corpus; fi
if stage 2 "A look at the corpus"; then inspect_own; fi
if stage 3 "Folds"; then make_folds; fi
if stage 4 "MFCC features"; then compute_features mfcc; fi
if stage 5 "Functionals"; then own_functionals; fi
if stage 6 "I-vectors"; then make_ivectors; fi
if stage 7 "Bottleneck features"; then extract_bottlenecks; fi
several_of_each
if stage 8 "Emotion systems"; then
  what_to_take
  train_systems
  with_baseline train_systems
fi
if stage 9 "Scores and comparison of the emotion systems"; then
  score_systems ${ivectors:+--speakers "$data/$ivectors/speakers"}
  with_baseline score_systems
  system+=${baseline:+ $baseline}
  # shellcheck disable=SC2086  # several groups
  compare_systems "comparison$suffix" $choose_on_dev
fi
finish
