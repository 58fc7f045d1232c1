# From a corpus to manifests, folds and features.
#
# They read: dataset (the corpus' name in sertools), corpus and skip_bad (options), data, demo (real_or_demo).
# shellcheck shell=bash disable=SC2154

make_demo_corpus() {
  if $demo; then
    $train_cmd "$data/log/make_demo_corpus.log" make_demo_corpus.py "$dataset" --config conf/demo.yaml:corpus "$data/corpus"
  else
    echo "not needed: --corpus is given"
  fi
}

# prepare_corpus [ARGUMENT...]
prepare_corpus() {
  local bad=()
  if $skip_bad; then bad=(--skip-bad); fi
  $train_cmd "$data/log/prepare.log" prepare_corpus.py "$dataset" "${bad[@]}" "${corpus:-$data/corpus}" \
    "$data/manifests" "$@"
}

# make_folds: of conf/folds/PROTOCOL.yaml
make_folds() {
  check_name --protocol "$protocol"
  divide "$protocol" "$protocol"
}

# divide LOG NAME [OPTION...]: folds of conf/folds/PROTOCOL.yaml, changed by options of make_folds.py, in a folder NAME
divide() {
  local overlay=()
  if ${demo:-false}; then overlay=(--overlay conf/demo.yaml); fi
  $train_cmd "$data/log/make_folds.$1.log" make_folds.py --config "conf/folds/$protocol.yaml" "${overlay[@]}" "${@:3}" \
    --supervisions "$data/manifests/${dataset}_supervisions_all.jsonl.gz" "$data/folds/$2"
}

# compute_features KIND [CUTS [PART [CONFIG [OPTION...]]]]: features of a kind by $nj jobs, then one manifest of them.  Without CUTS
# they are of the whole corpus; with PART they go to a folder of that name, by conf/features/CONFIG.yaml and OPTIONs.
compute_features() {
  local kind=$1 cuts=${2:-$data/manifests/${dataset}_cuts_all.jsonl.gz} part=${3-}
  config "features/${4:-$kind}"
  config+=("${@:5}")
  $train_cmd JOB=1:"$nj" "$data/log/$kind${part:+_$part}.JOB.log" compute_features.py "${config[@]}" \
    --job JOB --num-jobs "$nj" "$cuts" "$data/$kind${part:+/$part}"
  $train_cmd "$data/log/collect_$kind${part:+_$part}.log" collect_features.py "${config[@]}" \
    "$cuts" "$data/$kind${part:+/$part}"
}
