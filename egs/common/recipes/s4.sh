# S4: what each egs/*/run_s4.sh ends with, after the stages that make manifests.
#
#   . ../common/recipes/s4.sh
#
# It reads the options of these scripts, and dataset, data and results.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s4 home=tedlium2
word_inputs
suffix+=$from

if stage 2 "Folds"; then make_folds; fi
if stage 3 "Filter banks"; then compute_features fbank; fi
if stage 4 "Words as recognised"; then recognise_words; fi
if stage 5 "Emotion systems of S4"; then train_systems; fi
if stage 6 "Scores and comparison of S4's systems"; then
  score_systems
  compare_systems "comparison_s4$suffix"
  # shellcheck disable=SC2086  # several experiments
  compare_with comparison_s4 $others
fi
if stage 7 "Page of S4"; then paper_page comparison_s4 "$from"; fi
finish
