#!/bin/sh
# Starts a training stage, or goes on with it, behind everything else: it outlives the shell, at the lowest priority.
#   tools/starter/background.sh train_vit.py [options]
# PYTHON names the interpreter (default python3). Logs: .cache/starter/logs; stop: kill the printed process id (it saves first).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${STARTER_CACHE:-$here/../../.cache/starter}
mkdir -p "$cache/logs"
stage=$(basename "$1" .py)
pid_file=$cache/logs/$stage.pid
if [ -f "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null; then
  echo "$stage runs already, process $(cat "$pid_file")"
  exit 0
fi
script=$1
shift
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
setsid nohup nice -n 19 "${PYTHON:-python3}" "$here/$script" "$@" >>"$cache/logs/$stage.log" 2>&1 &
echo $! >"$pid_file"
echo "$stage: process $!"
