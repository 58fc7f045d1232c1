# S1: what each egs/*/run.sh ends with, after transfer_inputs and the stages that make manifests.
#
#   . ../common/recipes/s1.sh
#
# It reads the options of these scripts, and dataset, home, data and results.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s1
suffix=${ivectors#ivector}_$protocol$from
default_transfer

if stage 2 "Folds"; then make_folds; fi
if stage 3 "MFCC features"; then compute_features mfcc; fi
if stage 4 "I-vectors"; then make_ivectors; fi
if stage 5 "Bottleneck features"; then extract_bottlenecks; fi
several_of_each
if stage 6 "Emotion systems"; then train_systems; fi
if stage 7 "Scores and comparison of the emotion systems"; then
  score_systems ${ivectors:+--speakers "$data/$ivectors/speakers"}
  # shellcheck disable=SC2086  # several groups
  compare_systems "comparison$suffix" $choose_on_dev
fi
if stage 8 "Page of S1"; then paper_page "comparison${ivectors#ivector}" "$from"; fi
finish
