# S3: what each egs/*/run_s3.sh ends with, after the stages that make manifests.
#
#   . ../common/recipes/s3.sh
#
# It reads the options of these scripts, and dataset, data and results.
# shellcheck shell=bash disable=SC2034,SC2154

paper=s3
backbone_inputs

if stage 2 "Folds"; then make_folds; fi
if stage 3 "Pretrained model"; then
  pretrain_backbone
  continue_backbone
fi
several_of_each
if stage 4 "Hidden layers as features"; then extract_layers; fi
if stage 5 "Emotion systems of S3"; then train_on_layers; fi
if stage 6 "Scores and comparison of S3's systems"; then
  score_layers comparison_s3
  # shellcheck disable=SC2086  # several experiments
  compare_with comparison_s3 $others
fi
# shellcheck disable=SC2086  # several protocols
if stage 7 "Learning curves"; then learning_curves curve_s3 comparison_s3 $curve; fi
if stage 8 "Page of S3"; then paper_page comparison_s3 "$from"; fi
finish
