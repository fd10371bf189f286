"""Loads a checkpoint that our writer made as torch does (`weights_only=True`) and as LaVIN does, and prints what came out.

    python3 check_torch_writer.py FILE.pth > tests/unit/fixtures/torch-writer.json

Needs torch. tests/unit/formats/torch-writer.test.ts makes the file. Prints one JSON object: the file's SHA-256, per
tensor its type, shape and the SHA-256 of its bytes, as `torch.load(weights_only=True)` gives them, and the other
top-level entries. Fails if loading without `weights_only`, or with `mmap=True`, gives anything else, or if LaVIN's way of taking the tensors (names freed of
`module.`, `load_state_dict`) does not fill modules of their shapes.
"""

import argparse
import hashlib
import json
import pathlib

import torch


def digest(tensor):
    raw = tensor.contiguous().view(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
    return hashlib.sha256(raw.numpy().tobytes()).hexdigest()


def describe(checkpoint):
    return {
        name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "sha256": digest(t)}
        for name, t in checkpoint["model"].items()
    }


class Slots(torch.nn.Module):
    """Parameters under dotted names, as the model that LaVIN fills has them."""

    def __init__(self, shapes):
        super().__init__()
        for name, shape in shapes.items():
            *path, last = name.split(".")
            module = self
            for part in path:
                if part not in dict(module.named_children()):
                    module.add_module(part, torch.nn.Module())
                module = getattr(module, part)
            module.register_parameter(last, torch.nn.Parameter(torch.zeros(shape)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    args = parser.parse_args()
    safe = torch.load(args.file, map_location="cpu", weights_only=True)
    found = describe(safe)
    for options in [{"weights_only": False}, {"weights_only": True, "mmap": True}]:
        assert describe(torch.load(args.file, map_location="cpu", **options)) == found, options

    # LaVIN's eval.py: names without "module.", load_state_dict(strict=False).
    state = {key.replace("module.", ""): value for key, value in safe["model"].items()}
    model = Slots({name: list(t.shape) for name, t in state.items()})
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.data, state[name].float()), name

    file = hashlib.sha256(pathlib.Path(args.file).read_bytes()).hexdigest()
    rest = {k: v for k, v in safe.items() if k != "model"}
    print(json.dumps({"file": file, "rest": rest, "tensors": found}, indent=1, sort_keys=True))


main()
