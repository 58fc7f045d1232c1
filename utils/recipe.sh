# Options, stages, error reports and events of a recipe; a run.sh sources it after path.sh and cmd.sh:
#
#   #!/usr/bin/env bash
#   # What this experiment is; --help prints these lines.
#   # shellcheck disable=SC2154  # the variables that option sets
#   cd "$(dirname "$(readlink -f "$0")")" || exit
#   . ./path.sh
#   . ./cmd.sh
#   . recipe.sh
#
#   option corpus ""   "folder of the corpus"             # any text
#   option nj 2        "jobs of a parallel stage"         # an integer: integers only, from 1 on (from 0 if it is 0)
#   option check true  "whether to check every file"      # true or false only
#   parse_options "$@"                                    # --corpus DIR --nj=4 --stage 1 --stop-stage 2 --help
#                                                         # --submit: see recipe_submit below
#
#   if stage 0 "Prepare the corpus"; then                 # a line of exactly this form
#     $train_cmd exp/log/prepare.log local/prepare.py "$corpus"
#   fi
#   finish
#
# A command that fails ends the recipe, which says in which stage and how to go on.  (Jobs put into
# the background with & are not commands that fail: wait for each by its process id.)
#
# exp/stages.jsonl says what ran when and how it ended, for `sertools status`: recipe_event below.  A second
# run with the same options (--stage and --stop-stage apart), while the first runs, is refused.
# shellcheck shell=bash
set -euo pipefail

# recipe_script: where a link has led to, if the script knows
recipe_name=${recipe_script:-$0}
recipe_name=${recipe_name##*/}
recipe_file=./$recipe_name
recipe_option_names=()
recipe_option_defaults=()
recipe_option_helps=()
recipe_option_values=()
recipe_stage_numbers=()
recipe_stage_titles=()
# shellcheck disable=SC2034  # for the recipe
recipe_arguments=   # the command line, as words between spaces
recipe_given=()     # the command line but for --stage, to be given again
recipe_current=     # the stage that runs: "3 (MFCC features)"
recipe_number=      # its number
recipe_line=        # where the last command failed: "17", or "17 of FILE"
recipe_state=starting
recipe_signal=
recipe_left=false  # whether a script has called exit
recipe_submitting=false
recipe_events=exp/stages.jsonl
recipe_options=     # of this run, as JSON
recipe_run=         # this run in recipe_events: HOST:PROCESS:TICKS; empty: nothing is written there
recipe_json=        # the result of recipe_quote
recipe_ticks=       # the result of recipe_started
recipe_seconds=     # the result of recipe_clock
recipe_began=
# in a job of --submit: the command line that hands over this stage and those after it once more
recipe_go_on=${RECIPE_GO_ON-}
unset RECIPE_GO_ON

# recipe_error MESSAGE: the recipe, or its command line, is wrong
recipe_error() {
  recipe_state=refused
  echo "$recipe_name: error: $1" >&2
  exit 2
}

# option NAME DEFAULT HELP: set the variable NAME to DEFAULT; --NAME changes it, with - for _
option() {
  [ $# = 3 ] || recipe_error "option needs a name, a default and a help text, not: $*"
  [[ $1 =~ ^[a-z][a-z0-9_]*$ && $1 != recipe_* ]] || recipe_error "option $1: a name is lower-case letters, digits, _"
  case " ${recipe_option_names[*]-} stage stop_stage submit help " in
    *" $1 "*) recipe_error "option $1 is declared twice, or built in" ;;
  esac
  recipe_option_names+=("$1")
  recipe_option_defaults+=("$2")
  recipe_option_helps+=("$3")
  recipe_option_values+=("$2")
  declare -g "$1=$2"
}

# option_help NAME: what --help says of an option
option_help() {
  local n
  for n in "${!recipe_option_names[@]}"; do
    if [ "${recipe_option_names[n]}" = "$1" ]; then echo "${recipe_option_helps[n]}"; fi
  done
}

# parse_options "$@": set the variables from the command line
parse_options() {
  recipe_find_stages
  stage=${recipe_stage_numbers[0]}
  stop_stage=${recipe_stage_numbers[-1]}
  local argument name value
  for argument in "$@"; do
    if [ "$argument" = --help ] || [ "$argument" = -h ]; then
      recipe_state=finished
      recipe_help
      exit 0
    fi
  done
  # shellcheck disable=SC2034
  recipe_arguments=$*
  local command
  printf -v command '%q ' "$0" "$@"
  printf '%s\n' "$command"
  while [ $# -gt 0 ]; do
    argument=$1
    shift
    [[ $argument == --?* ]] || recipe_error "'$argument' is not an option; see $recipe_name --help"
    [[ $argument != --submit=* ]] || recipe_error "--submit takes no value"
    if [ "$argument" = --submit ]; then
      recipe_submitting=true
      continue
    fi
    name=${argument%%=*}
    if [[ $argument == *=* ]]; then
      value=${argument#*=}
    else
      recipe_check_name "$name"
      # --name=--value is there for a value that does begin so
      if [ $# = 0 ] || [[ $1 == --?* ]]; then recipe_error "$name needs a value; see $recipe_name --help"; fi
      value=$1
      shift
    fi
    recipe_find_file "$name"
    recipe_set "$name" "$value"
    [ "$name" = --stage ] || recipe_given+=("$name=$value")
  done
  recipe_check_stages
  if $recipe_submitting; then
    recipe_submit
    exit 0
  fi
  recipe_begin "${command% }"
  # launch.py writes it into the logs of the jobs, for `sertools status`
  export RECIPE_RUN=$recipe_run
  recipe_state=running
  recipe_clock
  recipe_began=$recipe_seconds
}

# recipe_find_file NAME: a recipe that is started from another folder takes the file or folder that $value names there,
# where the recipe's own folder has none of that name
recipe_find_file() {
  local there=${recipe_called_from:-$PWD}/$value
  case $1 in
    --table | --audio | --corpus | --ravdess | --nemo | --manifests | --dictionary | --lm-text | --arpa) ;;
    --pretrained | --extractor | --recogniser | --backbone | --text-backbone | --audioset | --init | --a2w-init) ;;
    *) return 0 ;;
  esac
  if [[ -z $value || $value = /* || ! -e $there || $value -ef $there ]]; then return 0; fi
  [ ! -e "$value" ] || recipe_error "$1 $value: there is one in $recipe_called_from and one in $PWD; give the whole path"
  echo "$recipe_name: $1 is $there"
  value=$there
}

# stage NUMBER TITLE: whether the stage is to run
stage() {
  local i known=false
  for i in "${!recipe_stage_numbers[@]}"; do
    if [ "${recipe_stage_numbers[i]}" = "$1" ]; then known=true; fi
  done
  [ "$recipe_state" = running ] || recipe_error "stage $1 comes before parse_options"
  [ $known = true ] || recipe_error "--help cannot list stage $1: write it as: if stage $1 \"title\"; then"
  recipe_end_stage 0
  if (($1 < stage || $1 > stop_stage)); then return 1; fi
  recipe_number=$1
  recipe_current="$1 ($2)"
  recipe_quote "$2"
  recipe_event stage "\"stage\":$1,\"title\":$recipe_json"
  printf '== stage %s: %s ==  %(%Y-%m-%d %H:%M:%S)T\n' "$1" "$2" -1
}

# finish: the last line of a run.sh
finish() {
  recipe_end_stage 0
  recipe_event end '"code":0'
  recipe_state=finished
  recipe_clock
  local took=$((recipe_seconds - recipe_began))
  printf '== %s: stages %s to %s are done, %d:%02d:%02d ==\n' "$recipe_name" "$stage" "$stop_stage" \
    $((took / 3600)) $((took / 60 % 60)) $((took % 60))
}

recipe_find_stages() {
  [ -r "$recipe_file" ] || recipe_error "write this line above path.sh: cd \"\$(dirname \"\$(readlink -f \"\$0\")\")\" || exit"
  local line pattern='^[[:space:]]*if (.* )?stage (-?[0-9]+) ["'\''](.*)["'\''] *; *then'
  while IFS= read -r line; do
    if [[ $line =~ $pattern ]]; then
      recipe_stage_numbers+=("${BASH_REMATCH[2]}")
      recipe_stage_titles+=("${BASH_REMATCH[3]}")
    fi
  done < <(recipe_lines)
  local i
  [ ${#recipe_stage_numbers[@]} -gt 0 ] || recipe_error "no line of the form: if stage 0 \"title\"; then"
  for ((i = 1; i < ${#recipe_stage_numbers[@]}; i++)); do
    if ((recipe_stage_numbers[i] <= recipe_stage_numbers[i - 1])); then
      recipe_error "stage ${recipe_stage_numbers[i]} comes after stage ${recipe_stage_numbers[i - 1]}"
    fi
  done
}

# recipe_lines: of the script, and in their place of the list of stages that it shares with others:
#   . ../common/recipes/s2.sh
recipe_lines() {
  local line
  while IFS= read -r line; do
    if [[ $line =~ ^\.\ (\.\./common/recipes/[a-z0-9_]+\.sh)$ ]]; then cat "${BASH_REMATCH[1]}"; else printf '%s\n' "$line"; fi
  done < "$recipe_file"
}

recipe_help() {
  local i
  # $(...) takes the empty lines from its end
  printf '%s\n' "$(sed -n '2,${/^#/!q; /^# *shellcheck /d; s/^# \{0,1\}//p}' "$recipe_file")"
  printf '\nStages:\n'
  for i in "${!recipe_stage_numbers[@]}"; do
    printf '  %2s  %s\n' "${recipe_stage_numbers[i]}" "${recipe_stage_titles[i]}"
  done
  printf '\nOptions (--name value, or --name=value):\n'
  for i in "${!recipe_option_names[@]}"; do
    recipe_help_line "${recipe_option_names[i]//_/-}" "${recipe_option_helps[i]} (${recipe_option_defaults[i]:-empty})"
  done
  recipe_help_line stage "the first stage to run (${recipe_stage_numbers[0]})"
  recipe_help_line stop-stage "the last stage to run (${recipe_stage_numbers[-1]})"
  recipe_help_line submit "hand the stages over to Slurm, each as a job, and end; \$submit_cmd in cmd.sh"
  recipe_help_line help "print this"
}

recipe_help_line() {
  printf '  --%-18s %s\n' "$1" "$2"
}

# recipe_check_name --NAME: NAME is an option, else say which one is near
recipe_check_name() {
  local name=${1#--} known near
  known=" ${recipe_option_names[*]-} stage stop_stage submit "
  if [[ $name =~ ^[a-z][a-z0-9_-]*$ && $known == *" ${name//-/_} "* ]]; then return; fi
  near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2].split(), 1, 0.5))' \
    "$name" "${known//_/-}") || near=
  recipe_error "unknown option $1${near:+; did you mean --$near?}  See $recipe_name --help"
}

# recipe_set --NAME VALUE: check the value against the type of the default, and set the variable
recipe_set() {
  recipe_check_name "$1"
  local i name=${1#--} default=-1 least=0 integer='^-?(0|[1-9][0-9]{0,17})$'
  name=${name//-/_}
  for i in "${!recipe_option_names[@]}"; do
    if [ "${recipe_option_names[i]}" = "$name" ]; then
      default=${recipe_option_defaults[i]}
      recipe_option_values[i]=$2
    fi
  done
  if [[ $default =~ $integer ]]; then
    [[ $2 =~ $integer ]] || recipe_error "$1 needs an integer, not '$2'"
    # seeds, like --gpu, count from 0
    if ((default > 0)) && [[ $name != *seed ]]; then least=1; fi
    ((default < 0 || $2 >= least)) || recipe_error "$1 must be at least $least, not $2"
  elif [[ $default =~ ^(true|false)$ ]]; then
    [[ $2 =~ ^(true|false)$ ]] || recipe_error "$1 needs true or false, not '$2'"
  fi
  case $2 in
    # launch.py would take them for the shell's
    '|' | '>' | '>>' | '<' | '&&' | '||' | ';' | '2>' | '2>>' | '2>&1') recipe_error "$1 '$2': write ./ before such a name" ;;
    *JOB*) recipe_error "$1 $2: launch.py puts a number in place of JOB; make a link with another name, and give that" ;;
  esac
  # -g, for the option may be called like a local variable of a function here
  declare -g "$name=$2"
}

recipe_check_stages() {
  local number first=${recipe_stage_numbers[0]} last=${recipe_stage_numbers[-1]}
  ((stage <= last)) || recipe_error "--stage $stage: the last stage is $last"
  ((stop_stage >= first)) || recipe_error "--stop-stage $stop_stage: the first stage is $first"
  ((stage >= first)) || recipe_error "--stage $stage: the first stage is $first"
  ((stop_stage <= last)) || recipe_error "--stop-stage $stop_stage: the last stage is $last"
  ((stage <= stop_stage)) || recipe_error "--stage $stage is after --stop-stage $stop_stage"
  for number in "${recipe_stage_numbers[@]}"; do
    if ((number >= stage && number <= stop_stage)); then return; fi
  done
  recipe_error "there is no stage from $stage to $stop_stage; see $recipe_name --help"
}

# recipe_submit: hand each selected stage to $submit_cmd as a job that starts when the one before has ended
# well.  Such a job runs this script for one stage; where $train_cmd is Slurm's it only waits for the jobs
# of that stage, and holds what $submit_cmd asks for (a core, little memory) meanwhile.
recipe_submit() {
  local i number title id previous='' waits='' log folder start=$0
  local -a ids=()
  printf -v folder 'exp/log/submit-%(%Y%m%d-%H%M%S)T-%d' -1 $$
  [[ $start == */* ]] || start="bash $start"
  mkdir -p "$folder"
  recipe_identify
  for i in "${!recipe_stage_numbers[@]}"; do
    number=${recipe_stage_numbers[i]} title=${recipe_stage_titles[i]}
    if ((number < stage || number > stop_stage)); then continue; fi
    log=$folder/stage.$number.log
    # shellcheck disable=SC2086  # $submit_cmd is several words
    if ! id=$(
      RECIPE_GO_ON="$start --stage $number$(printf ' %q' ${recipe_given[@]+"${recipe_given[@]}"} --submit)"
      export RECIPE_GO_ON
      ${submit_cmd:-launch.py slurm} --detach ${previous:+--after "$previous"} "$log" \
        bash "$recipe_file" ${recipe_given[@]+"${recipe_given[@]}"} --stage "$number" --stop-stage "$number"
    ); then
      if [ ${#ids[@]} -gt 0 ]; then scancel "${ids[@]}" || true; fi
      recipe_error "stage $number ($title) could not be handed over${ids[0]:+; those before it are cancelled}"
    fi
    # the job has not begun, for the one before it has not ended; its log begins anew when it does
    if [ -n "$previous" ] && [ ! -s "$log" ]; then
      printf '# Slurm job %s: %s\n# Starts when %s.\n# If that fails, Slurm cancels this job, and these lines stay.\n' \
        "$id" "stage $number ($title)" "$waits" >> "$log"
    fi
    recipe_quote "$title"
    recipe_event submit "\"script\":\"$recipe_name\",\"options\":[$recipe_options],\"stage\":$number,\"title\":$recipe_json,\"slurm_job\":\"$id\""
    ids+=("$id")
    previous=$id
    waits="stage $number, job $id, has ended well ($log)"
    echo "stage $number ($title): Slurm job $id, log $log"
  done
  recipe_state=finished
  echo "look:   squeue --jobs=$(IFS=, && echo "${ids[*]}")"
  echo "cancel: scancel ${ids[*]}"
}

# recipe_quote TEXT: set recipe_json to it as a string of JSON
recipe_quote() {
  recipe_json=${1//\\/\\\\}
  recipe_json=${recipe_json//\"/\\\"}
  recipe_json=${recipe_json//$'\n'/\\n}
  recipe_json=${recipe_json//$'\t'/\\t}
  recipe_json="\"${recipe_json//[[:cntrl:]]/?}\""
}

# recipe_clock: set recipe_seconds to the seconds since the machine started, which no setting of its clock changes
recipe_clock() {
  recipe_seconds=$SECONDS
  { IFS=. read -r recipe_seconds _ < /proc/uptime; } 2> /dev/null || true
}

# recipe_started PROCESS: set recipe_ticks to when it started, in ticks since the machine did; empty: there is none
recipe_started() {
  recipe_ticks=
  { IFS= read -r recipe_ticks < "/proc/$1/stat"; } 2> /dev/null || return 0
  # behind the name, which may hold spaces
  local -a fields
  read -ra fields <<< "${recipe_ticks##*) }"
  case ${fields[0]} in Z | X) recipe_ticks= ;; *) recipe_ticks=${fields[19]} ;; esac
}

# recipe_identify: set recipe_run, and recipe_options to the options that are not the defaults
recipe_identify() {
  local i name value host=$HOSTNAME
  # HOSTNAME may come from the environment of another machine
  { IFS= read -r host < /proc/sys/kernel/hostname; } 2> /dev/null || true
  recipe_started $$
  recipe_run=$host:$$:$recipe_ticks
  recipe_options=
  for i in "${!recipe_option_names[@]}"; do
    name=${recipe_option_names[i]} value=${recipe_option_values[i]}
    if [ "$value" = "${recipe_option_defaults[i]}" ]; then continue; fi
    recipe_quote "--${name//_/-}=$value"
    recipe_options+=${recipe_options:+,}$recipe_json
  done
  { mkdir -p exp && : >> $recipe_events; } 2> /dev/null || recipe_cannot_write
  # a run that was killed while it wrote, or a full disk, may have left half a line
  local last=
  if [ -f $recipe_events ]; then last=$(tail -c 1 $recipe_events 2> /dev/null) || true; fi
  if [ -n "$last" ]; then { echo >> $recipe_events; } 2> /dev/null || recipe_cannot_write; fi
}

# recipe_cannot_write: say so, once; the stages matter more
recipe_cannot_write() {
  echo "$recipe_name: warning: $recipe_events cannot be written: \`sertools status\` will not know how this goes" >&2
  recipe_run=
}

# recipe_event EVENT FIELDS: append a line of JSON to recipe_events
recipe_event() {
  if [ -z "$recipe_run" ]; then return; fi
  local now=${EPOCHREALTIME:-}
  if [ -z "$now" ]; then printf -v now '%(%s)T' -1; fi
  { printf '{"event":"%s","time":%s,"run":"%s",%s}\n' "$1" "${now/,/.}" "$recipe_run" "$2" >> $recipe_events; } \
    2> /dev/null || recipe_cannot_write
}

# recipe_begin COMMAND: the event of a run that begins; refused while one with the same options runs
recipe_begin() {
  local i stages='' command selected="\"first\":$stage,\"last\":$stop_stage"
  recipe_identify
  if [ -z "$recipe_run" ]; then return; fi
  recipe_quote "$1"
  command=$recipe_json
  for i in "${!recipe_stage_numbers[@]}"; do
    recipe_quote "${recipe_stage_titles[i]}"
    stages+="${stages:+,}[${recipe_stage_numbers[i]},$recipe_json]"
  done
  {
    # of two that start at once one is first; without flock, or where the file system has none, both may be
    flock -w 10 9 2> /dev/null || true
    recipe_check_alone
    recipe_event run \
      "\"script\":\"$recipe_name\",\"options\":[$recipe_options],\"slurm_job\":\"${SLURM_JOB_ID-}\",$selected,\"command\":$command,\"stages\":[$stages]"
  } 9>> $recipe_events
}

# recipe_check_alone: no other run with these options is alive on this machine
recipe_check_alone() {
  local line since host=${recipe_run%:*:*} pattern='^\{"event":"run","time":([0-9]+)[0-9.]*,"run":"([^"]*):([0-9]+):([0-9]+)"'
  while IFS= read -r line; do
    if ! [[ $line =~ $pattern && ${BASH_REMATCH[2]} = "$host" && ${BASH_REMATCH[3]} != "$$" ]]; then continue; fi
    recipe_started "${BASH_REMATCH[3]}"
    if [ "$recipe_ticks" = "${BASH_REMATCH[4]}" ]; then
      recipe_state=refused recipe_run=
      printf -v since '%(%Y-%m-%d %H:%M:%S)T' "${BASH_REMATCH[1]}"
      echo "$recipe_name: error: another $recipe_name with these options is running since $since" \
        "(process ${BASH_REMATCH[3]}); wait for it to end, or stop it" >&2
      exit 1
    fi
  done < <(if [ -f $recipe_events ]; then grep -aF -- "\"script\":\"$recipe_name\",\"options\":[$recipe_options]," $recipe_events; fi)
}

# recipe_end_stage CODE: the event of a stage that ends, if one runs
recipe_end_stage() {
  if [ -n "$recipe_current" ]; then recipe_event end "\"stage\":$recipe_number,\"code\":$1"; fi
  recipe_current=
}

# recipe_failed LINE FILE: remember where, the innermost function first
recipe_failed() {
  if [ -n "$recipe_line" ]; then return; fi
  recipe_line=$1
  if [ "$2" != "$0" ] && [ "$2" != "$recipe_file" ]; then recipe_line+=" of $2"; fi
}

# exit [CODE]: as ever, remembered as the script's own wish
exit() {
  local code=$?
  recipe_left=true
  builtin exit "${1-$code}"
}

# recipe_on_exit CODE: say where the recipe stopped and how to go on
recipe_on_exit() {
  local current=$recipe_current code=$1
  # after TERM or HUP bash comes here with code 0, as if all were well
  if [ "$code" = 0 ] && [ -z "$recipe_signal" ] && ! $recipe_left; then code=null recipe_signal=TERM; fi
  if [ "$recipe_state" != finished ] && ! $recipe_submitting; then
    recipe_end_stage "$code"
    recipe_event end "\"code\":$code"
    recipe_current=$current
  fi
  # exit 0 in the middle of a run.sh is the user's wish
  if [ "$recipe_state" != running ] || { [ "$1" = 0 ] && [ -z "$recipe_signal" ]; }; then return; fi
  local go_on=$0 what
  [[ $go_on == */* ]] || go_on="bash $go_on"
  if [ -n "$recipe_number" ]; then go_on+=" --stage $recipe_number"; fi
  if [ ${#recipe_given[@]} -gt 0 ]; then go_on+=$(printf ' %q' "${recipe_given[@]}"); fi
  go_on=${recipe_go_on:-$go_on}
  what="${recipe_current:+stage $recipe_current}"
  what="${what:-the part outside the stages}"
  if [ -n "$recipe_signal" ]; then
    echo "$recipe_name: interrupted in $what; go on with $go_on" >&2
  else
    echo "$recipe_name: $what failed${recipe_line:+ at line $recipe_line} (code $1);" \
      "when it is mended, go on with $go_on" >&2
  fi
}

# path.sh has said what is missing
[ -n "${SERTOOLS_ROOT:-}" ] || exit 1
# -E: also inside functions
set -E
trap 'recipe_failed "$LINENO" "${BASH_SOURCE[0]}"' ERR
trap 'recipe_on_exit $?' EXIT
# TERM and HUP have no trap, for bash would wait for the command in the foreground: without one it
# ends at once, and launch.py with it
trap 'recipe_signal=INT; exit 130' INT
