# S2: what each egs/*/run_s2.sh ends with, after the stages that make manifests.
#
#   . ../common/recipes/s2.sh
#
# It reads the options of these scripts, and dataset, data and results.  --protocol may be several: rows of the same page.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s2 file_of=s2_file pairs=
protocols=$protocol protocol=${protocol%% *}
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
  each_protocol make_folds
  each_protocol source_folds
fi
if stage 3 "Functionals"; then compute_features functionals; fi
if stage 4 "Source networks"; then each_protocol train_sources; fi
if stage 5 "Emotion systems of S2"; then each_protocol train_transfer_systems; fi
if stage 6 "Scores and comparison of S2's systems"; then
  each_protocol score_systems
  each_protocol compare_of_protocol comparison_s2
fi
if stage 7 "Fewer training folds, from --other (figure 4)"; then fewer_training_folds; fi
if stage 8 "Page of S2"; then paper_page comparison_s2; fi
finish
