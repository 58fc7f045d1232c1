# S2, S5: networks of other tasks, or of another corpus, that emotion systems transfer from; each fold and seed has its
# own.
#
# They read the options protocol, system, sources, other (others, audioset), num_seeds, train_nj and gpu, and data,
# results, suffix, paper and ratings (fields that are cut into bins, or are numbers, as the protocol's own target is).
# shellcheck shell=bash disable=SC2034,SC2154

# source_folds: for each of $sources folds whose target it is; they divide the train part of each emotion fold, or
# are the same parts where nobody minds that a source knows the tested speakers
source_folds() {
  local source how
  for source in $sources; do
    how=(--set "target={field: $source}")
    if [[ " ${ratings-} " == *" $source "* ]]; then how=(--set "target.field=$source"); fi
    if [ "$source" = speaker ] && ! grep -q '"speaker_dependent": true' "$data/folds/$protocol/folds.json"; then
      how+=(--set protocol=known_speakers --set "options={like: $data/folds/$protocol}")
    fi
    divide "$source.$protocol" "${protocol}_$source" "${how[@]}"
  done
}

# source_experiment SOURCE: where its network is trained
source_experiment() {
  echo "${results}source_$1$suffix"
}

train_sources() {
  local source exp own
  config "$paper/source"
  for source in $sources; do
    own=()
    # where the target is a number, ratings as sources are numbers too
    if [[ " ${ratings-} " == *" $source "* ]]; then own=(${settings[@]+"${settings[@]}"}); fi
    exp=$(source_experiment "$source")
    $cuda_cmd --gpu "$gpu" JOB=1:"$train_nj" "$exp/log/train.JOB.log" train_emotion.py "${config[@]}" "${own[@]}" \
      --cuts "$cuts" --folds "$data/folds/${protocol}_$source" \
      --job JOB --num-jobs "$train_nj" --num-seeds "$num_seeds" "$exp"
    score.py "${config[@]}" "${own[@]}" --folds "$data/folds/${protocol}_$source" --num-seeds "$num_seeds" \
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

# cnn14_inputs SYSTEM: set inputs to what cnn14_NAME_all or cnn14_NAME_linear of S5 starts from: a source, AudioSet or
# one of --others
cnn14_inputs() {
  local name=${1#cnn14_} one
  name=${name%_all}
  name=${name%_linear}
  inputs=()
  if [ "$name" = random ]; then return; fi
  if [ "$name" = audioset ]; then
    [ -n "$audioset" ] || recipe_error "--system $1 needs --audioset, PANNs' file"
    inputs=(--input "audioset=$audioset")
    return
  fi
  for one in $others; do
    if [ "${one%%=*}" = "$name" ]; then inputs=(--input "source=${one#*=}"); fi
  done
  if [ ${#inputs[@]} -gt 0 ]; then return; fi
  [[ " $sources " == *" $name "* ]] \
    || recipe_error "--system $1 starts from $name, which is neither among --sources nor among --others"
  inputs=(--input "source=$(source_experiment "$name")/fold_FOLD/seed_SEED/checkpoint")
}

# train_transfer_systems [FUNCTION]: as train_systems, each with its own sources, which FUNCTION SYSTEM sets
train_transfer_systems() {
  local all=$system one
  for one in $all; do
    "${1:-source_inputs}" "$one"
    system=$one
    train_systems
  done
  system=$all
}
