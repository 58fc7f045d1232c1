# Where jobs run.  launch.py takes the options of Kaldi's run.pl and queue.pl:
#   $train_cmd --gpu 1 --mem 4G --num-threads 4 --max-jobs-run 8 JOB=1:N LOG.JOB command ...
# "local" is this machine; a backend for Slurm will take its place here and nowhere else.
# shellcheck shell=bash
export train_cmd="launch.py local"
export cuda_cmd="launch.py local"
export decode_cmd="launch.py local"
