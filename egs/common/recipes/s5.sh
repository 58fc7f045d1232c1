# S5: what each egs/*/run_s5.sh ends with, after the stages that make manifests.
#
#   . ../common/recipes/s5.sh
#
# It reads the options of these scripts (heard and system_set if there are such), and dataset, data and results.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s5 file_of=cnn14_file ratings="arousal valence dominance"
name_folds
source_cuts=$data/logmel/cuts.jsonl.gz source_suffix=$suffix cuts=$source_cuts heard=${heard-}
for one in ${system_set-}; do settings+=(--set "$one"); done
# the task itself through a band; its sources hear all
if [ -n "$heard" ]; then
  suffix+=_$heard cuts=$data/logmel/$heard/cuts.jsonl.gz
  band_of "$heard" > /dev/null
fi

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
  linear_pairs
  compare_systems "comparison_s5$suffix"
  transfer_picture "transfer_s5$suffix" "comparison_s5$suffix"
fi
if stage 7 "Page of S5"; then paper_page comparison_s5 "${heard:+_$heard}"; fi
finish
