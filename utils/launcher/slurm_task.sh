#!/usr/bin/env bash
# One of the processes that srun starts for slurm_job.sh: slurm_task.sh JOBS SKIP TASKS FAILED
#
# Sets the variables that torch.distributed's env:// reads, as torchrun does, and runs the command that
# stands in the file JOBS behind SKIP strings.  TASKS is the number of processes on each node.  The first
# of all to fail writes its exit code to the file FAILED: srun, which then ends the others, gives the
# highest code of all.
set -o pipefail
mapfile -d '' -t -s "$2" -n 1 job < "$1"
export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE=$3 NODE_RANK=$SLURM_NODEID
trap '' USR1
# TERM reaches the command as well: stay, for it to end by itself
trap : TERM
(
  trap 'code=$?; exit $((code > 0 ? code : 143))' TERM
  # a program may get it, and end, before this shell does
  trap '[ $? != 143 ] || sleep 1' DEBUG
  eval "${job[0]}"
)
code=$?
if [ $code != 0 ]; then
  echo "# process $RANK of $WORLD_SIZE on $SLURMD_NODENAME: code $code"
  (set -o noclobber && echo $code > "$4") 2> /dev/null
fi
# stopped before the time limit: the others are saving their state, and are not to be ended
if [ $code = 138 ]; then code=0; fi
exit $code
