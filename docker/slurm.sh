#!/usr/bin/env bash
# A sweep as a Slurm job. The script passes its arguments to `python -m sweeps.run`.
#
# One job over many nodes; srun starts Ray's head and workers, and the driver runs on the first node:
#
#   sbatch --nodes=4 docker/slurm.sh grid_thesis.yaml --results /shared/results --set data.root=/shared/data
#
# An array of independent jobs of one node each, which share the results folder and nothing else:
#
#   sbatch --array=1-8 docker/slurm.sh grid_thesis.yaml --results /shared/results --set data.root=/shared/data
#
# Two minutes before the time limit Slurm sends USR1 to this script alone (B:). The driver then saves every running unit
# and exits with 75, and the job is queued again and resumes. Submit from the project's folder, with the virtual
# environment active; home and results must be on storage that all nodes see.
#SBATCH --job-name=sweep
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

job=$SLURM_JOB_ID
placement=()

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  job="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
  first=${SLURM_ARRAY_TASK_MIN:?} step=${SLURM_ARRAY_TASK_STEP:-1}
  shard=$(((SLURM_ARRAY_TASK_ID - first) / step + 1))
  placement=(--shard "$shard/$SLURM_ARRAY_TASK_COUNT" --workers "$SLURM_CPUS_PER_TASK")
elif [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
  head=${nodes[0]}
  ip=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
  address="$ip:${SWEEP_PORT:-6379}"
  # Ray's ports ask for the token, which all nodes read from the shared home.
  export RAY_AUTH_MODE=token
  (umask 077 && ray get-auth-token --generate >/dev/null) || exit 1
  # Ray's sockets need a short path, and the job's own temporary folder may have a long one.
  [ "$(printf %s "${TMPDIR:-}" | wc -c)" -le 39 ] || export RAY_TMPDIR="/tmp/sweeps-$UID"
  common=(--num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" --disable-usage-stats --block)
  srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address "$ip" --port "${address##*:}" --include-dashboard false "${common[@]}" &
  for _ in $(seq 60); do
    ray health-check --address "$address" >/dev/null 2>&1 && break
    sleep 2
  done
  for node in "${nodes[@]:1}"; do # workers may join at any time; the sweep begins without them
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" ray start --address "$address" "${common[@]}" &
  done
  placement=(--address "$address" --workers "$((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK))")
else
  placement=(--workers "$SLURM_CPUS_PER_TASK")
fi

python -m sweeps.run "$@" "${placement[@]}" &
driver=$!

out_of_time=no interrupted=no
trap 'out_of_time=yes interrupted=yes; kill -TERM "$driver"' USR1
trap 'interrupted=yes; kill -TERM "$driver"' TERM INT
while
  interrupted=no
  wait "$driver"
  code=$?
  [ "$interrupted" = yes ] # a trap ended the wait, not the driver
do :; done

# Only a job that reached its time limit is queued again, not one that failed or was cancelled.
if [ "$code" = 75 ] && [ "$out_of_time" = yes ]; then
  scontrol requeue "$job"
fi
mapfile -t steps < <(jobs -p) # the srun steps with Ray
kill "${steps[@]}" 2>/dev/null
exit "$code"
