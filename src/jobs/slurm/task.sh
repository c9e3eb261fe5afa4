
# A missing table was withdrawn, or is late on a network disk.
for ((calvaria_tries = 0; calvaria_tries < 60; calvaria_tries++)); do
  [ -e "$calvaria_array.tasks.sh" ] && break
  sleep 1
done
[ -e "$calvaria_array.tasks.sh" ] || { echo "calvaria: $calvaria_array.tasks.sh was withdrawn; nothing to do"; exit 0; }
. "$calvaria_array.tasks.sh"

exec >>"$calvaria_log" 2>&1
calvaria_mark=$calvaria_array/$SLURM_ARRAY_TASK_ID
calvaria_write() { printf '%s\n' "$2" >"$1.new" && mv -f "$1.new" "$1"; }
calvaria_starts=$(($(cut -d ' ' -f 1 "$calvaria_mark.started" 2>/dev/null || echo 0) + 1))
rm -f "$calvaria_mark.exit"
calvaria_write "$calvaria_mark.started" "$calvaria_starts $SLURM_ARRAY_JOB_ID"
echo "calvaria: $calvaria_job, start $calvaria_starts, on $(hostname), Slurm job ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"

calvaria_requeue() {
  if [ "$calvaria_starts" -gt "$calvaria_requeues" ]; then
    echo "calvaria: the time limit is near at start $calvaria_starts; executor.slurm.requeues allows no more"
    return 1
  fi
  echo "calvaria: the time limit is near; requeued to resume from what was saved"
  "$calvaria_scontrol" requeue "$SLURM_JOB_ID"
}

# USR1: the time limit is near. The job saves and ends, and the task goes back into the queue; if
# saving takes too long, it resumes from what was saved before.
calvaria_near_limit() {
  calvaria_signalled=1
  [ -n "$calvaria_near" ] && return
  calvaria_near=1
  [ -n "$calvaria_pid" ] && kill -TERM "$calvaria_pid"
  { sleep "$calvaria_patience" && calvaria_requeue; } &
  calvaria_timer=$!
}
calvaria_signalled='' calvaria_near='' calvaria_cancelled='' calvaria_pid=''
trap calvaria_near_limit USR1
# TERM: cancelled, preempted or requeued by somebody else. Slurm signals the job itself.
trap 'calvaria_signalled=1 calvaria_cancelled=1' TERM

# The environment, as the sweep's file sets it up.
# @setup@
set +eu
cd -- "$calvaria_folder" || exit 1

"${calvaria_command[@]}" &
calvaria_pid=$!
[ -n "$calvaria_near" ] && kill -TERM "$calvaria_pid"
calvaria_signalled=1
while [ -n "$calvaria_signalled" ]; do # a signal ends `wait` early
  calvaria_signalled=''
  wait "$calvaria_pid"
  calvaria_status=$?
done
[ -n "$calvaria_near" ] && kill "$calvaria_timer" 2>/dev/null

if [ "$calvaria_status" -ne 0 ]; then
  # Slurm reports how it ended.
  [ -n "$calvaria_cancelled" ] && exit "$calvaria_status"
  if [ -n "$calvaria_near" ]; then
    calvaria_requeue && exit "$calvaria_status"
    # It was asked to end and may not resume: that is a failure, not an interruption from outside.
    [ "$calvaria_status" -eq 130 ] && calvaria_status=1
  fi
fi
calvaria_write "$calvaria_mark.exit" "$calvaria_status"
exit "$calvaria_status"
