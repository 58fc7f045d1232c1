# A corpus of the user's own: a table of recordings, or manifests.
#
# own_options declares their options; own_names sets dataset, data, results, manifests and joined.
# shellcheck shell=bash disable=SC2034,SC2154,SC2329

# own_options: those that every script of egs/own has
own_options() {
  option table ""         "CSV, JSON Lines, or a folder of audformat; empty: file names say it (pattern in --conf)"
  option audio ""         "what paths in the table are relative to; empty: the table's folder"
  option manifests ""     "in place of both: a folder with NAME_cuts_all and NAME_supervisions_all.jsonl.gz"
  option name ""          "of the corpus in all tables; empty: that of --conf or of --manifests, else own"
  option conf table       "how the table is read: conf/CONF.yaml (table, corpora/emodb, ...)"
  option set ""           "settings over it, KEY=VALUE between spaces: \"encoding=cp1252 ignore_case=true\""
  option skip_bad false   "go on without rows and recordings that are broken; DATA/manifests/problems.txt lists them"
  option join ""          "manifests of other corpora beside it, for --protocol cross: \"../iemocap/data/real/manifests ...\""
  option copies ""        "augmented copies that train too, a copy a word: \"speed=0.9 speed=1.1 noise=5..20\" (docs/running.md#copies)"
  option target ""        "a column that is predicted, COLUMN (its classes) or COLUMN:number; empty: the emotion label"
  option classes ""       "those that take part, \"angry,happy,sad\"; empty: all that there are"
  option protocol strict  "conf/folds/PROTOCOL.yaml: strict (sessions, or groups of speakers), fixed, repeated, random, cross"
  option nj 2             "jobs of feature extraction"
  option gpu 0            "GPUs of a job"
}

# own_names: the corpus's name, and where what is of it lies.  What the stages of all recipes call prepare_corpus and
# make_folds is of the table from here on.
own_names() {
  [[ $conf != /* && $conf != *..* ]] || recipe_error "--conf $conf: the name of a file in conf/ is needed, without .yaml"
  [ -f "conf/$conf.yaml" ] || recipe_error "--conf $conf: there is no $PWD/conf/$conf.yaml"
  check_name --target "$target"
  [[ $target != *:* || $target == *:number || $target == *:classes ]] ||
    recipe_error "--target $target: COLUMN, or COLUMN:number for a column of numbers"
  dataset=$name
  if [ -n "$manifests" ]; then
    [ -z "$table$audio" ] || recipe_error "--manifests stands in place of --table and --audio"
    only_corpus "$manifests" --manifests "$name"
    dataset=$found_corpus
  elif [ -z "$dataset" ]; then
    dataset=own
    if [ "$conf" != table ]; then dataset=${conf##*/}; fi
  fi
  [[ $dataset =~ ^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$ ]] || recipe_error "--name: letters, digits, _ and -, not '$dataset'"
  data=data/$dataset results=exp/${dataset}_
  manifests_given=${manifests:+yes}
  own_manifests=${manifests:-$data/manifests}
  manifests=$own_manifests
  joined=()
  plain_cuts=$own_manifests/${dataset}_cuts_all.jsonl.gz table_manifests=$own_manifests
  if [ -n "$join" ]; then join_names; fi
  if [ -n "$copies" ]; then copies_names; fi
  prepare_corpus() { prepare_own; }
  make_folds() { own_folds; }
}

# join_names: with --join; what is made of several corpora lies in data/OWN+OTHER
join_names() {
  local folder
  own_dataset=$dataset joined_cuts=("$own_manifests/${dataset}_cuts_all.jsonl.gz")
  for folder in $join; do
    only_corpus "$folder" --join ""
    joined_cuts+=("$folder/${found_corpus}_cuts_all.jsonl.gz")
    joined+=("$folder/${found_corpus}_supervisions_all.jsonl.gz")
    dataset+=+$found_corpus
  done
  [ "$protocol" != strict ] || protocol=cross
  data=data/$dataset results=exp/${dataset}_ manifests=data/$dataset/manifests
}

# copies_names: with --copies; what is made with them lies in folders that are called after them
copies_names() {
  local called
  [ -z "$join" ] || recipe_error "--copies is of one corpus. Of several: local/augment_corpus.py for each, its folders as --manifests and --join, and copies: all in conf/folds/$protocol.yaml"
  [[ $copies =~ ^[A-Za-z0-9.,=\ +-]+$ ]] || recipe_error "--copies $copies: NAME=VALUE ... with spaces between is needed, as in --copies \"speed=0.9 noise=5..20\""
  check_once --copies "$copies"
  called=$(one_line "$copies")
  called=${called//[= ]/_} called=${called//../-}
  [ ${#called} -le 100 ] || recipe_error "--copies: folders would be called with_$called, which is long. Make them by local/augment_corpus.py, give its folder as --manifests, and write copies: all into conf/folds/$protocol.yaml"
  data=data/$dataset/with_$called results=exp/${dataset}_with_${called}_
  manifests=$data/manifests own_manifests=$manifests
}

# only_corpus FOLDER OPTION NAME: set found_corpus to the one in a folder of manifests; of several it is to be NAME
only_corpus() {
  local found=()
  mapfile -t found < <(compgen -G "$1/${3:-*}_supervisions_all.jsonl.gz")
  [ ${#found[@]} = 1 ] || recipe_error "$2 $1: ${#found[@]} files ${3:-*}_supervisions_all.jsonl.gz\
 are there; one is needed$([ "$2" != --manifests ] || [ ${#found[@]} = 0 ] || echo ", which --name chooses")"
  found_corpus=${found[0]##*/}
  found_corpus=${found_corpus%_supervisions_all.jsonl.gz}
}

# own_systems: what is trained on what, after transfer_inputs
own_systems() {
  local opensmile how="utils/add_extra.sh opensmile"
  # recipes of `sertools new` are in pip's environment
  [ -d ../../requirements ] || how="pip install opensmile scikit-learn"
  opensmile='import importlib.util, sys; sys.exit(importlib.util.find_spec("opensmile") is None)'
  suffix+=$from
  functionals=$data/functionals/cuts.jsonl.gz
  if [ "$baseline" = none ]; then baseline=; fi
  if [ -n "$baseline" ] && ! python3 -c "$opensmile"; then
    echo "No baseline on functionals ($baseline): there is no openSMILE here.  \`$how\` adds it (a licence" \
      "for research, not for commercial use); then run this again.  All other systems go on without it." >&2
    baseline=
  fi
  if [ -n "$baseline" ]; then baseline_paper > /dev/null; fi
  default_transfer
}

# what_to_take: which systems RESULTS.md recommends where nothing is pretrained and nothing was chosen; it is of classes
what_to_take() {
  if ! $by_default || [[ -n $pretrained || $target == *:number ]]; then return; fi
  echo "NOTE: these systems learn from your labels alone. By what we measured, take --pretrained (layers of a network of" \
    "egs/tedlium2) or run_s3.sh (layers of a public model) if you can. Otherwise take functionals with ten minutes of" \
    "labels (--baseline svm, or s3a_functionals, a dense layer), and tdnn from half an hour on."
}

prepare_own() {
  local options=(--config "conf/$conf.yaml" --set "name=${own_dataset-$dataset}") one
  if [ -n "$manifests_given" ]; then
    echo "not needed: --manifests is given"
  else
    for one in $set; do options+=(--set "$one"); done
    if $skip_bad; then options+=(--skip-bad); fi
    if [ -n "$audio" ]; then options+=(--audio "$audio"); fi
    [ -n "$table$audio" ] || recipe_error "stage 1 needs --table, or --audio with a pattern (--conf), or --manifests; see --help"
    $train_cmd "$data/log/prepare.log" prepare_table.py "${options[@]}" ${table:+"$table"} "$table_manifests"
  fi
  if [ -n "$copies" ]; then
    local copy wanted=()
    for copy in $copies; do wanted+=(--copy "$copy"); done
    $train_cmd "$data/log/augment.log" augment_corpus.py --jobs "$nj" "${wanted[@]}" "$plain_cuts" "$manifests"
  fi
  if [ -n "$join" ]; then
    $train_cmd "$data/log/join.log" combine_cuts.py "${joined_cuts[@]}" "$manifests"
  fi
}

# inspect_own: the page, once for these manifests
inspect_own() {
  local seen
  seen=$(cuts_of_corpus)
  if [ -n "$copies" ]; then seen=$plain_cuts; fi
  if [ "$data/inspection.html" -nt "$seen" ]; then
    echo "$data/inspection.html is up to date"
    return
  fi
  $train_cmd "$data/log/inspect.log" sertools inspect "$seen" --jobs "$nj" --page "$data/inspection.html"
  echo "look at $PWD/$data/inspection.html"
}

own_folds() {
  local options=()
  if [ -n "$target" ]; then options=(--set "target.field=${target%%:*}"); fi
  if [[ $target == *:* ]]; then options+=(--set "target.kind=${target#*:}"); fi
  if [ -n "$classes" ]; then options+=(--set "target.classes=[$classes]"); fi
  if [ -n "$copies" ]; then options+=(--set copies=all); fi
  divide "${folds##*/}" "${folds##*/}" "${options[@]}"
}

own_functionals() {
  if [ -n "$baseline" ]; then compute_features functionals; else echo "not computed: no openSMILE, or no --baseline"; fi
}

# baseline_paper: the folder of conf/ that has conf/*/BASELINE.yaml: S2's svm and networks, S3a's dense layer
baseline_paper() {
  local paper found=()
  for paper in s2 s3; do
    if [[ -e ../common/conf/$paper/$baseline.yaml || -e conf/$paper/$baseline.yaml ]]; then found+=("$paper"); fi
  done
  [ ${#found[@]} -gt 0 ] || recipe_error "--baseline $baseline: neither conf/s2 nor conf/s3 has $baseline.yaml, here or in ../common"
  [ ${#found[@]} = 1 ] || recipe_error "--baseline $baseline: conf/s2 and conf/s3 both have $baseline.yaml; give one another name"
  echo "${found[0]}"
}

# with_baseline FUNCTION: FUNCTION of the system on functionals, which has features of its own and no other input
with_baseline() {
  local paper system=$baseline cuts=$functionals inputs=()
  if [ -z "$baseline" ]; then return; fi
  paper=$(baseline_paper)
  "$1"
}
