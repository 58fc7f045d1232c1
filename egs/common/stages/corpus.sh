# From a corpus to manifests, folds and features.
#
# They read: dataset (the corpus' name in sertools), corpus and skip_bad (options), data, demo (real_or_demo); and of a
# corpus of the user's own manifests and joined (own_names).
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
  [ -n "$corpus" ] || ${demo:-false} || recipe_error "stage 1 needs --corpus: $(option_help corpus)"
  if $skip_bad; then bad=(--skip-bad); fi
  $train_cmd "$data/log/prepare.log" prepare_corpus.py "$dataset" "${bad[@]}" "${corpus:-$data/corpus}" \
    "$data/manifests" "$@"
}

# cuts_of_corpus: the manifest of all cuts, without features
cuts_of_corpus() {
  if [ -n "${joined[*]-}" ]; then echo "$manifests/cuts.jsonl.gz"; else echo "${manifests:-$data/manifests}/${dataset}_cuts_all.jsonl.gz"; fi
}

# supervisions_of_corpus: their manifest; of several corpora (--join) that of the user's own
supervisions_of_corpus() {
  echo "${own_manifests:-$data/manifests}/${own_dataset-$dataset}_supervisions_all.jsonl.gz"
}

# make_folds: of conf/folds/PROTOCOL.yaml
make_folds() {
  check_name --protocol "$protocol"
  divide "$protocol" "$protocol"
}

# divide LOG NAME [OPTION...]: folds of conf/folds/PROTOCOL.yaml, changed by options of make_folds.py, in a folder NAME
divide() {
  local overlay=() one supervisions=()
  for one in "$(supervisions_of_corpus)" ${joined[@]+"${joined[@]}"}; do
    supervisions+=(--supervisions "$one")
  done
  if ${demo:-false}; then overlay=(--overlay conf/demo.yaml); fi
  $train_cmd "$data/log/make_folds.$1.log" make_folds.py --config "conf/folds/$protocol.yaml" "${overlay[@]}" "${@:3}" \
    "${supervisions[@]}" "$data/folds/$2"
}

# compute_features KIND [CUTS [PART [CONFIG [OPTION...]]]]: features of a kind by $nj jobs, then one manifest of them.  Without CUTS
# they are of the whole corpus; with PART they go to a folder of that name, by conf/features/CONFIG.yaml and OPTIONs.
compute_features() {
  local kind=$1 cuts=${2:-$(cuts_of_corpus)} part=${3-}
  config "features/${4:-$kind}"
  config+=("${@:5}")
  $train_cmd JOB=1:"$nj" "$data/log/$kind${part:+_$part}.JOB.log" compute_features.py "${config[@]}" \
    --job JOB --num-jobs "$nj" "$cuts" "$data/$kind${part:+/$part}"
  $train_cmd "$data/log/collect_$kind${part:+_$part}.log" collect_features.py "${config[@]}" \
    "$cuts" "$data/$kind${part:+/$part}"
}
