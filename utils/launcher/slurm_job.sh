#!/bin/bash
# One job of launch.py on Slurm, or one of an array: slurm_job.sh FOLDER FIRST OFFSET THREADS GPUS REQUEUES TASKS UTILS
#
# FOLDER/jobs holds command and log of each job, with a NUL after each, from job number FIRST on; the
# number of this one is its array index + OFFSET.  NUMBER.code, put there when the command has ended by
# itself, tells launch.py its exit code.  Where there is none, Slurm's state of the job tells.  NUMBER.lock
# and NUMBER.alive say that the job runs, NUMBER.stops how often it was stopped before its time limit.
#
# USR1, which Slurm sends before the time limit, goes to the command's processes, which ignore it unless
# they catch it.  A command that then ends with code 138 (128 + USR1) has saved its state: the job is
# requeued, REQUEUES times at most.
# TASKS > 0: srun starts the command so many times on each node (slurm_task.sh in UTILS).
usr1=0 term=0 child=
# clock: seconds since the machine started, which no setting of its clock changes
clock() {
  seconds=$SECONDS
  { IFS=. read -r seconds _ < /proc/uptime; } 2> /dev/null
}
clock
began=$seconds
trap 'usr1=$((usr1 + 1)); [ -z "$child" ] || kill -USR1 -- "-$child"' USR1
trap 'term=$((term + 1))' TERM
set -o pipefail
folder=$1 first=$2 offset=$3 threads=$4 gpus=$5 requeues=$6 tasks=$7 utils=$8
number=$((${SLURM_ARRAY_TASK_ID:-$first} + offset))
id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
id=${id:-$SLURM_JOB_ID}
restarts=${SLURM_RESTART_COUNT:-0}

# A controller that was killed may have forgotten that it has started this job, and starts it again on
# another node: that one waits until the first has ended, or has given no sign of life for five minutes (the
# lock of a node that is gone may stay).  Where the file system has no locks it does not wait.
signs="$folder/$number.alive"
if { exec 9> "$folder/$number.lock"; } 2> /dev/null; then
  told=
  while :; do
    flock --timeout "${told:-0}" --conflict-exit-code 75 9 2> /dev/null
    code=$?
    # Slurm's TERM goes to both
    if [ $term -gt 0 ] || [ $code -gt 128 ]; then exit 143; fi
    [ $code = 75 ] || break
    if [ -z "$told" ]; then echo "an earlier start of this job still runs; waiting for its end"; fi
    told=20
    : > "$signs.now"
    silent=$(($(stat -c %Y "$signs.now") - $(stat -c %Y "$signs" 2> /dev/null || echo 0)))
    if [ $silent -gt 300 ]; then
      echo "it has given no sign of life for $silent seconds"
      break
    fi
  done
fi
# a node that went away just after the job had ended makes Slurm start the job again
if read -r code 2> /dev/null < "$folder/$number.code"; then exit "$code"; fi
# a shared file system may show the file late
for ((i = 0; i < 60; i++)); do
  [ -r "$folder/jobs" ] && break
  sleep 1
done
mapfile -d '' -t -s $((2 * (number - first))) -n 2 job < "$folder/jobs"
if [ ${#job[@]} != 2 ]; then
  echo "no job $number in $folder/jobs" >&2
  exit 1
fi
command=${job[0]}
log=${job[1]}
if [ "$restarts" = 0 ]; then : > "$log"; fi
exec >> "$log" 2>&1 || exit 1

date_is() { printf '%(%a %b %e %H:%M:%S %Z %Y)T' -1; }
if [ "$restarts" = 0 ]; then
  printf '# %s\n# Started at %s\n' "${command//$'\n'/$'\n# '}" "$(date_is)"
else
  printf '# Started again (%d) at %s\n' "$restarts" "$(date_is)"
fi
if [ -n "${RECIPE_RUN-}" ]; then printf '# Run %s\n' "$RECIPE_RUN"; fi
printf '# Slurm job %s on %s\n#\n' "$id" "${SLURM_JOB_NODELIST:-$(hostname)}"

# Slurm unsets the variable, and without device cgroups a job without GPUs would see all of them
if [ "$gpus" = 0 ]; then export CUDA_VISIBLE_DEVICES=; fi

# free_port: one that nothing listens on, a different one for jobs that start together on a machine
free_port() {
  local port=$((20000 + SLURM_JOB_ID % 10000))
  while (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do port=$((port + 1)); done
  echo "$port"
}

(
  trap '' USR1
  trap 'kill "$!"; exit' TERM
  while :; do
    : > "$signs"
    sleep 60 &
    wait "$!"
  done
) < /dev/null > /dev/null 2>&1 9>&- &
trap 'kill "'$!'" 2> /dev/null' EXIT

set -m # a process group of its own for the command
if [ "$tasks" -gt 0 ]; then
  MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  MASTER_PORT=$(free_port)
  export MASTER_ADDR MASTER_PORT
  srun --kill-on-bad-exit=1 --export=ALL --cpus-per-task="$threads" \
    bash "$utils/slurm_task.sh" "$folder/jobs" $((2 * (number - first))) "$tasks" \
    "$folder/$number.failed.$restarts" < /dev/null 9>&- &
else
  (
    trap '' USR1
    # of TERM, which Slurm sends to every process, the command's own exit code is wanted, and no next command
    trap 'code=$?; exit $((code > 0 ? code : 143))' TERM
    # a program may get it, and end, before this shell does
    trap '[ $? != 143 ] || sleep 1' DEBUG
    eval "$command"
  ) < /dev/null 9>&- &
fi
child=$!
set +m
# the signal may have come before the command was there
if [ $usr1 -gt 0 ]; then kill -USR1 -- "-$child"; fi
while :; do
  before=$((usr1 + term))
  wait "$child" 2> /dev/null # "Segmentation fault" and all of the line that failed is bash's to say
  code=$?
  # a trap ends wait early, and wait gives the code of a process that has ended as often as asked
  [ $before = $((usr1 + term)) ] && break
done
if [ "$tasks" -gt 0 ] && read -r failed 2> /dev/null < "$folder/$number.failed.$restarts"; then code=$failed; fi
# Slurm's TERM, and KILL by a memory limit, may reach the command first
case $code in 137 | 143) sleep 1 ;; esac

log_end() {
  clock
  seconds=$((seconds - began))
  printf '# Accounting: time=%d threads=%d\n' "$seconds" "$threads"
  printf '# Ended (code %d) at %s, elapsed time %d seconds\n' "$code" "$(date_is)" "$seconds"
}

if [ $term -gt 0 ] && [ "$code" != 0 ]; then
  # Cancelled, at the time limit, or requeued by Slurm, which alone knows.  When this script ends, all
  # its processes are killed: a launch.py among them first cancels its own jobs.
  for ((i = 0; i < 300; i++)); do
    kill -0 -- "-$child" 2> /dev/null || break
    sleep 0.1
  done
  log_end
  exit "$code"
fi
if [ $usr1 -gt 0 ] && [ "$code" = 138 ]; then
  # restarts counts lost nodes and preemption as well
  stops=0
  read -r stops 2> /dev/null < "$folder/$number.stops"
  if [ "$stops" -lt "$requeues" ]; then
    echo $((stops + 1)) > "$folder/.$number.stops" && mv "$folder/.$number.stops" "$folder/$number.stops"
    printf '# Stopped before its time limit at %s; to be started again\n' "$(date_is)"
    # the controller may be away for a moment
    for ((i = 0; i < 12; i++)); do
      scontrol requeue "$id" && exit "$code"
      sleep 5
    done
    echo "# scontrol requeue $id failed"
  else
    echo "# Stopped before its time limit, and not started again: it has been $stops times (--max-requeues)"
  fi
fi
log_end
if ! { echo "$code" > "$folder/.$number.code" && mv "$folder/.$number.code" "$folder/$number.code"; }; then
  echo "# cannot write $folder/$number.code"
fi
exit "$code"
