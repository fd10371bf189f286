#!/bin/sh
# The adapters that ship, trained again from the bases that ship, and both asked the same: from an empty folder, by one command.
#   PYTHON=.cache/starter/venv/bin/python tools/starter/rerun.sh starter|smollm2 [--f32]
# What ships was trained in bf16. --f32 where the processor has no instructions for it, six times as slow there as F32 (AVX2 alone: 5.6
# against 36 GFLOP/s); the bits are others then.
# 40 minutes for the starter's, 90 for SmolLM2's, of one CPU core each; side by side once stages 1, 2 and 7 are done. A base, data and
# a training that are there are taken as they are. Leaves .cache/starter/again-NAME/ (trained) and asked-NAME/ (what ships, and what
# would ship again), and prints, of the same 1,500 validation questions, the share that each answers: each log has them by skill.
set -eu
name=${1:?starter or smollm2}
precision=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../../.cache/starter
[ -z "${STARTER_CACHE:-}" ] || { echo "rerun.sh works in .cache/starter, as the trainings' configurations name it: unset STARTER_CACHE" >&2; exit 2; }
python=${PYTHON:-python3}
export OMP_NUM_THREADS=1
case $name in
  starter) config=train-adapters.json base=base ships=starter ;;
  smollm2) config=train-smollm2.json base=smollm2-base ships=smollm2-vision ;;
  *) echo "usage: rerun.sh starter|smollm2 [--f32]" >&2; exit 2 ;;
esac
"$python" "$here/fetch.py"
[ -f "$cache/pictures/rgba.npy" ] || "$python" "$here/pictures.py"
[ -f "$cache/data/floors.json" ] || "$python" "$here/dataset.py"
if [ "$name" = smollm2 ]; then
  (cd "$here/../.." && npm run -s model -- smollm2)
  [ -f "$cache/data/smollm2-train.jsonl" ] || "$python" "$here/smollm2_words.py"
fi
[ -f "$cache/$base/manifest.json" ] || "$python" "$here/join.py" "$name"
train() { "$python" "$here/train_adapters.py" --config "$here/$config" --no-floor $precision "$@" >/dev/null; }
train --out "$cache/again-$name"
again=$cache/again-$name/adapters.safetensors
if [ "$name" = smollm2 ]; then
  "$python" "$here/parted.py" --base "$cache/$base" --adapters "$again" --out "$cache/again-$name/parted.safetensors"
  again=$cache/again-$name/parted.safetensors
fi
# A state would stand before --start, and what ships may be another by now.
rm -rf "$cache/asked-$name"
train --out "$cache/asked-$name/ships" --start "$here/../../public/models/$ships/adapters.safetensors" --minutes 0
train --out "$cache/asked-$name/again" --start "$again" --minutes 0
"$python" - "$cache" "$name" <<'PY'
import json, sys
from collections import Counter
from pathlib import Path

cache, name = Path(sys.argv[1]), sys.argv[2]
asked = Counter(json.loads(line)["skill"] for line in (cache / "data" / "validation.jsonl").read_text().splitlines()[:1500])
for run in ("ships", "again"):
    found = json.loads((cache / f"asked-{name}" / run / "log.jsonl").read_text().splitlines()[-1])["validation"]
    print(f"{run}: {100 * sum(found[k] * n for k, n in asked.items()) / asked.total():.1f} %")
PY
