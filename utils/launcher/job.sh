#!/usr/bin/env bash
# One job of launch.py: job.sh THREADS COMMAND, in a process group of its own, stdout to the log.
#
# Runs COMMAND (shell text), ends the log with times and exit code, and exits with that code.
# TERM, from launch.py or from the kernel when launch.py dies, ends the whole group: TERM to all,
# KILL after 5 seconds to what is left.
set -o pipefail
threads=$1
command=$2

# clock: seconds since the machine started, which no setting of its clock changes
clock() {
  seconds=$SECONDS
  { IFS=. read -r seconds _ < /proc/uptime; } 2> /dev/null
}
clock
began=$seconds

log_end() {
  clock
  seconds=$((seconds - began))
  printf '# Accounting: time=%d threads=%d\n' "$seconds" "$threads"
  printf '# Ended (code %d) at %(%a %b %e %H:%M:%S %Z %Y)T, elapsed time %d seconds\n' "$1" -1 "$seconds"
}

# find_others: set others to the processes of the group beside this one that are no zombies; whether there are any
find_others() {
  local file line
  others=()
  for file in /proc/[0-9]*/stat; do
    { read -r line < "$file"; } 2> /dev/null || continue
    # shellcheck disable=SC2086  # after "pid (name) ": state, parent, group, ...
    set -- "${line%% *}" ${line##*) }
    if [ "$4" = $$ ] && [ "$1" != $$ ] && [ "$2" != Z ]; then others+=("$1"); fi
  done
  [ ${#others[@]} -gt 0 ]
}

# shellcheck disable=SC2329  # called through the trap below
# stop: what TERM does
stop() {
  trap '' TERM
  kill -TERM 0
  local i
  for ((i = 0; i < 50; i++)); do
    find_others || break
    sleep 0.1
  done
  log_end 143
  if find_others; then kill -KILL 0; fi
  exit 143
}

trap stop TERM
# In the background, for bash runs a trap only once a foreground command has ended;
# a background command ignores INT unless told otherwise.
(
  trap - INT QUIT
  eval "$command"
) &
wait $!
code=$?
# what a program that was killed has left (the processes of a pool, say) would keep the log for ever
if [ $code != 0 ] && find_others; then kill -KILL "${others[@]}" 2> /dev/null; fi
log_end $code
exit $code
