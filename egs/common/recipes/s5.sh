# S5: what each egs/*/run_s5.sh ends with, after the stages that make manifests.
#
#   . ../common/recipes/s5.sh
#
# It reads the options of these scripts, and dataset, data and results.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s5 file_of=cnn14_file ratings="arousal valence dominance"
name_folds
cuts=$data/logmel/cuts.jsonl.gz

if stage 2 "Folds of the target and of the sources"; then
  make_folds
  source_folds
fi
if stage 3 "Log-mel spectra"; then
  compute_features logmel
  band_features
fi
if stage 4 "Source networks"; then train_sources; fi
if stage 5 "Systems of S5"; then train_transfer_systems cnn14_inputs; fi
if stage 6 "Scores and comparison of S5's systems"; then
  score_systems
  compare_systems "comparison_s5$suffix"
  transfer_picture "transfer_s5$suffix" "comparison_s5$suffix"
fi
if stage 7 "Page of S5"; then paper_page comparison_s5; fi
finish
