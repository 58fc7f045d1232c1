# S2: networks of other tasks, or of another corpus, that emotion systems transfer from; each fold and seed has its own.
#
# They read the options protocol, system, sources, other, num_seeds, train_nj and gpu, and data, results, suffix.
# shellcheck shell=bash disable=SC2034,SC2154

# source_folds: for each of $sources folds whose target it is; they divide the train part of each emotion fold, or
# are the same parts where nobody minds that a source knows the tested speakers
source_folds() {
  local source how
  for source in $sources; do
    how=()
    if [ "$source" = speaker ] && ! grep -q '"speaker_dependent": true' "$data/folds/$protocol/folds.json"; then
      how=(--set protocol=known_speakers --set "options={like: $data/folds/$protocol}")
    fi
    divide "$source.$protocol" "${protocol}_$source" --set "target={field: $source}" "${how[@]}"
  done
}

# source_experiment SOURCE: where its network is trained
source_experiment() {
  echo "${results}source_$1$suffix"
}

train_sources() {
  local source exp
  config s2/source
  for source in $sources; do
    exp=$(source_experiment "$source")
    $cuda_cmd --gpu "$gpu" JOB=1:"$train_nj" "$exp/log/train.JOB.log" train_emotion.py "${config[@]}" \
      --cuts "$cuts" --folds "$data/folds/${protocol}_$source" \
      --job JOB --num-jobs "$train_nj" --num-seeds "$num_seeds" "$exp"
    score.py "${config[@]}" --folds "$data/folds/${protocol}_$source" --num-seeds "$num_seeds" \
      --command "$(command_line)" "$exp"
  done
}

# source_inputs SYSTEM: set inputs to what a system called so transfers from
source_inputs() {
  local source
  inputs=()
  # learns the speakers along, from the manifest
  if [[ $1 == multitask_* ]]; then return; fi
  for source in $sources; do
    case $1 in *_"$source" | *_both) inputs+=(--input "$source=$(source_experiment "$source")/fold_FOLD/seed_SEED/checkpoint") ;; esac
  done
  case $1 in *_other)
    [ -n "$other" ] || recipe_error "--system $1 needs --other, the dnn experiment of another corpus"
    inputs+=(--input "other=$other/fold_FOLD/seed_SEED/checkpoint") ;;
  esac
}

# train_transfer_systems: as train_systems, each with its own sources
train_transfer_systems() {
  local all=$system one
  for one in $all; do
    source_inputs "$one"
    system=$one
    train_systems
  done
  system=$all
}
