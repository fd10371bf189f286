"""What a training starts from is made from the files that ship."""
from __future__ import annotations

import json

import numpy as np
import pytest

import join
from paths import STARTER


@pytest.fixture
def untrained(monkeypatch):
    """In the place of a minute of fitting to pictures, which a clean clone does not have."""
    asked = []

    def fresh(lm, vit, hidden, projector, ids, seed):
        asked.append((lm.shape.dim, vit.shape.width, hidden, projector, ids("dog"), seed))
        return {"layers.0.adapter_attn.conv_A.weight": np.zeros((hidden, lm.shape.dim, 1), np.float32)}

    monkeypatch.setattr(join, "fresh", fresh)
    return asked


def test_the_starters_bases_are_joined_anew(tmp_path, untrained):
    assert join.main(["starter", "--out", str(tmp_path), "--seed", "7"]) == 0
    ((*sizes, dog, seed),) = untrained
    assert sizes == [192, 192, 32, 512] and dog and seed == 7
    ships, made = (json.loads((folder / "manifest.json").read_text()) for folder in (STARTER, tmp_path))
    assert {k: made[k] for k in ("format", "llama", "vision", "prompt", "context")} == {k: ships[k] for k in ("format", "llama", "vision", "prompt", "context")}
    assert made["adapters"]["config"] == ships["adapters"]["config"]
    # ship.py empties the folder that these come from.
    assert not any(f.is_symlink() for f in tmp_path.iterdir())
    assert (tmp_path / "vision.safetensors").read_bytes() == (STARTER / "vision.safetensors").read_bytes()
    assert join.main(["starter", "--out", str(tmp_path)]) == 0, "again, over what is there"


def test_without_smollm2_one_is_told_how_to_get_it(tmp_path, untrained, monkeypatch, capsys):
    monkeypatch.setitem(join.BASES, "smollm2", join.BASES["smollm2"]._replace(llama=tmp_path))
    assert join.main(["smollm2", "--out", str(tmp_path / "out")]) == 1
    assert "npm run model -- smollm2" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_pretraining_is_not_written_over(tmp_path, untrained, capsys):
    (tmp_path / "llama.safetensors").write_bytes(b"hours")
    (tmp_path / "llama.gguf").write_bytes(b"of work")
    assert join.main(["starter", "--out", str(tmp_path)]) == 1
    assert "--out" in capsys.readouterr().err and (tmp_path / "llama.gguf").read_bytes() == b"of work" and not untrained
