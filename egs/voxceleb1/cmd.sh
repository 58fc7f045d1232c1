# Where jobs run.  launch.py takes the options of Kaldi's run.pl and queue.pl:
#   $train_cmd --gpu 1 --mem 4G --num-threads 4 --max-jobs-run 8 JOB=1:N LOG.JOB command ...
# and those of sbatch (--account, --qos ...), which may also stand here; launch.py --help lists them.
# shellcheck shell=bash
launcher="launch.py local"                                # this machine
#launcher="launch.py slurm --config conf/slurm.conf"      # a Slurm cluster

export train_cmd="$launcher"
export cuda_cmd="$launcher"
# ./run.sh --submit: the job that each stage is.  Under Slurm it only waits for the jobs of its stage, the
# longer the better; with the launcher local the stage computes in it: give it --gpu, --num-threads, --mem.
export submit_cmd="launch.py slurm --config conf/slurm.conf --mem 2G"
