# S2: what each egs/*/run_s2.sh ends with, after the stages that make manifests.
#
#   . ../common/recipes/s2.sh
#
# It reads the options of these scripts, and dataset, data and results.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s2 file_of=s2_file pairs=
for one in speaker gender other $others; do pairs+=" ptft_${one%%=*},prognet_${one%%=*}"; done
# from the other corpus, too
if [ -n "$other" ]; then
  for one in ptft_other prognet_other; do
    if [[ " $system " != *" $one "* ]]; then system+=" $one"; fi
  done
fi
name_folds
cuts=$data/functionals/cuts.jsonl.gz

if stage 2 "Folds of emotion and of the sources"; then
  make_folds
  source_folds
fi
if stage 3 "Functionals"; then compute_features functionals; fi
if stage 4 "Source networks"; then train_sources; fi
if stage 5 "Emotion systems of S2"; then train_transfer_systems; fi
if stage 6 "Scores and comparison of S2's systems"; then
  score_systems
  compare_systems "comparison_s2$suffix"
fi
if stage 7 "Fewer training folds, from --other (figure 4)"; then fewer_training_folds; fi
if stage 8 "Page of S2"; then paper_page comparison_s2; fi
finish
