# What ran when and how it ended, in exp/stages.jsonl, and the check that no other run with the same options is alive
# (part of recipe.sh).
# shellcheck shell=bash disable=SC2034,SC2154  # variables of recipe.sh

recipe_events=exp/stages.jsonl
recipe_options=     # of this run, as JSON
recipe_run=         # this run in recipe_events: HOST:PROCESS:TICKS; empty: nothing is written there
recipe_json=        # the result of recipe_quote
recipe_ticks=       # the result of recipe_started
recipe_seconds=     # the result of recipe_clock

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
  { mkdir -p exp && : >> "$recipe_events"; } 2> /dev/null || recipe_cannot_write
  # a run that was killed while it wrote, or a full disk, may have left half a line
  local last=
  if [ -f "$recipe_events" ]; then last=$(tail -c 1 "$recipe_events" 2> /dev/null) || true; fi
  if [ -n "$last" ]; then { echo >> "$recipe_events"; } 2> /dev/null || recipe_cannot_write; fi
}

# recipe_cannot_write: say so, once; the stages matter more
recipe_cannot_write() {
  echo "$recipe_name: warning: $recipe_events cannot be written: \`sertools status\` will not know how this goes" >&2
  recipe_run=
}

# recipe_event EVENT FIELDS: append a line of JSON to recipe_events
recipe_event() {
  if [ -z "$recipe_run" ]; then return 0; fi  # in a trap, return alone means the code of before
  local now=${EPOCHREALTIME:-}
  if [ -z "$now" ]; then printf -v now '%(%s)T' -1; fi
  { printf '{"event":"%s","time":%s,"run":"%s",%s}\n' "$1" "${now/,/.}" "$recipe_run" "$2" >> "$recipe_events"; } \
    2> /dev/null || recipe_cannot_write
}

# recipe_begin COMMAND: the event of a run that begins; refused while one with the same options runs
recipe_begin() {
  local i stages='' command selected="\"first\":$stage,\"last\":$stop_stage"
  recipe_identify
  if [ -z "$recipe_run" ]; then return 0; fi
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
  } 9>> "$recipe_events"
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
  done < <(if [ -f "$recipe_events" ]; then grep -aF -- "\"script\":\"$recipe_name\",\"options\":[$recipe_options]," "$recipe_events"; fi)
}

# recipe_end_stage CODE: the event of a stage that ends, if one runs
recipe_end_stage() {
  if [ -n "$recipe_current" ]; then recipe_event end "\"stage\":$recipe_number,\"code\":$1"; fi
  recipe_current=
}
