#!/usr/bin/env python3
"""Downloads the sources by npm and apt (nothing is installed) and unpacks them: `python3 tools/starter/fetch.py`."""
from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from paths import DOWNLOADS
from sources import SOURCES, Source


def fetch(source: Source, folder: Path) -> None:
    work = folder.with_name(folder.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if source.kind == "npm":
        subprocess.run(["npm", "pack", "--silent", f"{source.package}@{source.version}"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (archive,) = work.glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
    else:
        subprocess.run(["apt-get", "download", f"{source.package}={source.version}"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (archive,) = work.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(work)], check=True)
    archive.unlink()
    work.rename(folder)


def main() -> int:
    for source in SOURCES:
        folder = DOWNLOADS / source.name
        if not folder.exists():
            print(f"{source.name}: {source.package} {source.version}", flush=True)
            try:
                fetch(source, folder)
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                hint = "`apt-get update` once, on Debian 12" if source.kind == "deb" else "npm and a connection"
                print(f"{source.name} could not be fetched ({error}); it needs {hint}.", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
