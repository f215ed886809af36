#!/usr/bin/env bash
# Trains on a PBS cluster (PBS Professional, OpenPBS). In the folder of the repository, which all nodes
# must see; arguments of lasp-train stand in the variable `run`, without commas:
#
#   qsub -v run="Configs/shakespeare.yaml --data.path=FILE" Launch/pbs.sh
#
# The run is runs/pbs-JOB. Ten minutes before its time is over it writes a checkpoint and ends, and the
# script submits itself again, to go on. Change `select` for other nodes, and the times together.
#PBS -N lasp-train
#PBS -l select=2:ncpus=8:mpiprocs=8
#PBS -l walltime=04:00:00
#PBS -j oe
#PBS -r y
set -euo pipefail
seconds=${seconds:-13800}  # of the 14400 of walltime

# PBS runs a copy of this script, from elsewhere.
cd "${PBS_O_WORKDIR:?is set by PBS: start this script with qsub}"
if [[ ! -x Launch/hostfile ]]; then
  echo "pbs.sh: submit it in the folder of the repository, not in $PWD" >&2
  exit 1
fi
name=${name:-pbs-${PBS_JOBID%%.*}}
read -ra arguments <<<"${run:-}"

# PBS's list names a node once for each of its ranks.
code=0
timeout --signal=USR1 "$seconds" \
  Launch/hostfile "$PBS_NODEFILE" "$name" "${arguments[@]}" || code=$?
# timeout itself answers 124 when it had to send the signal.
if ((code == 124)); then
  qsub -v "run=${run:-},name=$name,seconds=$seconds" Launch/pbs.sh
fi
exit "$code"
