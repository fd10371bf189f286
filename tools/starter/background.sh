#!/bin/sh
# Starts training stages, or goes on with them, behind everything else: they outlive the shell, at the lowest priority.
#   tools/starter/background.sh                          both pretrainings, from wherever they are
#   tools/starter/background.sh train_vit.py [options]   one of them
# PYTHON names the interpreter (default python3). Logs: .cache/starter/logs. To stop one: kill the printed process, it saves first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ]; then
  "$0" train_vit.py
  exec "$0" train_lm.py
fi
cache=${STARTER_CACHE:-$here/../../.cache/starter}
mkdir -p "$cache/logs"
script=$1
shift
stage=$(basename "$script" .py)
pid_file=$cache/logs/$stage.pid
# The number may be another process's by now: ask what it runs.
if [ -f "$pid_file" ] && [ -e "/proc/$(cat "$pid_file")/cmdline" ] && tr '\0' ' ' <"/proc/$(cat "$pid_file")/cmdline" 2>/dev/null | grep -q "$script"; then
  echo "$stage runs already, process $(cat "$pid_file")"
  exit 0
fi
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
setsid nohup nice -n 19 "${PYTHON:-python3}" "$here/$script" "$@" >>"$cache/logs/$stage.log" 2>&1 &
echo $! >"$pid_file"
echo "$stage: process $!"
