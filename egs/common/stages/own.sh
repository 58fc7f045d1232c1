# A corpus of the user's own: a table of recordings, or manifests.
#
# They read the options of egs/own/run.sh, and set dataset, data, results, manifests, cuts_all, folds_name, suffix.
# shellcheck shell=bash disable=SC2034,SC2154

# own_names: the corpus's name, and where what is of it lies
own_names() {
  local found=()
  [[ $conf != /* && $conf != *..* ]] || recipe_error "--conf $conf: the name of a file in conf/ is needed, without .yaml"
  [ -f "conf/$conf.yaml" ] || recipe_error "--conf $conf: there is no $PWD/conf/$conf.yaml"
  dataset=$name
  if [ -n "$manifests" ]; then
    [ -z "$table$audio" ] || recipe_error "--manifests stands in place of --table and --audio"
    mapfile -t found < <(compgen -G "$manifests/${name:-*}_supervisions_all.jsonl.gz")
    [ ${#found[@]} = 1 ] || recipe_error "--manifests $manifests: ${#found[@]} files ${name:-*}_supervisions_all.jsonl.gz\
 are there; one is needed$([ ${#found[@]} = 0 ] || echo ", which --name chooses")"
    dataset=${found[0]##*/}
    dataset=${dataset%_supervisions_all.jsonl.gz}
  elif [ -z "$dataset" ]; then
    dataset=own
    if [ "$conf" != table ]; then dataset=${conf##*/}; fi
  fi
  [[ $dataset =~ ^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$ ]] || recipe_error "--name: letters, digits, _ and -, not '$dataset'"
  data=data/$dataset results=exp/${dataset}_
  manifests=${manifests:-$data/manifests}
  cuts_all=$manifests/${dataset}_cuts_all.jsonl.gz
}

# own_systems: what is trained on what, after transfer_inputs
own_systems() {
  local field=${target%%:*} opensmile
  opensmile='import importlib.util, sys; sys.exit(importlib.util.find_spec("opensmile") is None)'
  check_name --protocol "$protocol"
  check_name --target "$target"
  [[ $target != *:* || $target == *:number || $target == *:classes ]] ||
    recipe_error "--target $target: COLUMN, or COLUMN:number for a column of numbers"
  folds=$data/folds/$protocol${target:+_$field}
  suffix=_$protocol${target:+_$field}$from
  if [ -n "$target" ]; then settings=(); fi
  if [[ $target == *:number ]]; then number_settings; fi
  functionals=$data/functionals/cuts.jsonl.gz
  if [ "$baseline" = none ]; then baseline=; fi
  if [ -n "$baseline" ] && ! python3 -c "$opensmile"; then
    echo "No functionals with an SVM: there is no openSMILE here.  \`utils/add_extra.sh opensmile\` adds it (a licence" \
      "for research, not for commercial use); then run this again.  All other systems go on without it." >&2
    baseline=
  fi
  if [ -z "$system" ]; then
    system="tdnn pooled_mfcc"
    if [ -n "$pretrained" ]; then system="s1 pooled"; fi
  fi
}

prepare_own() {
  local options=(--config "conf/$conf.yaml" --set "name=$dataset") one
  if [ "$manifests" != "$data/manifests" ]; then
    echo "not needed: --manifests is given"
    return
  fi
  for one in $set; do options+=(--set "$one"); done
  if $skip_bad; then options+=(--skip-bad); fi
  if [ -n "$audio" ]; then options+=(--audio "$audio"); fi
  [ -n "$table$audio" ] || recipe_error "stage 1 needs --table, or --audio with a pattern (--conf), or --manifests; see --help"
  $train_cmd "$data/log/prepare.log" prepare_table.py "${options[@]}" ${table:+"$table"} "$manifests"
}

# inspect_own: the page, once for these manifests
inspect_own() {
  if [ "$data/inspection.html" -nt "$cuts_all" ]; then
    echo "$data/inspection.html is up to date"
    return
  fi
  $train_cmd "$data/log/inspect.log" sertools inspect "$cuts_all" --jobs "$nj" --page "$data/inspection.html"
  echo "look at $PWD/$data/inspection.html"
}

own_folds() {
  local options=()
  if [ -n "$target" ]; then options=(--set "target.field=${target%%:*}"); fi
  if [[ $target == *:* ]]; then options+=(--set "target.kind=${target#*:}"); fi
  $train_cmd "$data/log/make_folds.${folds##*/}.log" make_folds.py --config "conf/folds/$protocol.yaml" "${options[@]}" \
    --supervisions "$manifests/${dataset}_supervisions_all.jsonl.gz" "$folds"
}

own_functionals() {
  if [ -n "$baseline" ]; then compute_features functionals "$cuts_all"; else echo "not computed"; fi
}

# with_baseline FUNCTION: FUNCTION of the system on functionals, which has features of its own and no other input
with_baseline() {
  local paper=s2 system=$baseline cuts=$functionals inputs=() settings=()
  if [ -n "$baseline" ]; then "$1"; fi
}
