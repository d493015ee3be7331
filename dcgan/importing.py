"""The tutorial's own weights in the demo: `python -m dcgan import netG.pth [netD.pth] OUT`.

A file is what `torch.save(netG.state_dict(), "netG.pth")` writes of a network of the PyTorch DCGAN tutorial or of
pytorch/examples. It is read with `weights_only=True`: no code in it is run.
"""

import argparse
import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dcgan.checkpoint import Net, built, save_checkpoint
from dcgan.cli import guarded, new_folder, user_path
from dcgan.errors import reason
from dcgan.model import Discriminator, Generator, ModelConfig

Weights = dict[str, Tensor]
HOW = "save it with torch.save(netG.state_dict(), 'netG.pth')"
CARD = """---
library_name: dcgan
pipeline_tag: unconditional-image-generation
---
# {name}

A DCGAN that draws {size} x {size} pictures, imported from weights that were trained elsewhere. Of its training and its
data nothing is known here.
"""


def read_weights(path: Path) -> Weights:
    """The tensors of a state dict, named as `Generator` and `Discriminator` name theirs: main.0.weight, ...

    Whatever stands before the layers' numbers (main., module.main., nothing) is replaced. Raises ValueError, in one
    line, for any other file.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read ({reason(error)})") from None
    except Exception as error:  # whatever torch makes of a file of another kind
        why = reason(error).partition(". ")[0]
        raise ValueError(
            f"'{path}' is damaged or no state dict ({why}); a whole network is never opened, as it could run any code: "
            f"{HOW} where it was made"
        ) from None
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        inside = ", ".join(map(str, [*state][:5])) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"'{path}' is no state dict, it holds {inside or 'nothing'}: {HOW}")
    return {re.sub(r"^(?:[^\d.]\w*\.)*(?=\d+\.)", "main.", str(name)): value for name, value in state.items()}


def is_generator(weights: Weights) -> bool:
    """Whether the first convolution has a BatchNorm, as a generator's has and a discriminator's has not."""
    return "main.1.weight" in weights


def fields(weights: Weights) -> dict[str, Any]:
    """What the weights of one network tell of its ModelConfig."""
    convs = [value.shape for value in weights.values() if value.dim() == 4] or [torch.Size((0, 0, 4, 4))]
    size = {"image_size": 4 << len(convs) - 1}
    if is_generator(weights):
        return {**size, "nc": convs[-1][1], "nz": convs[0][0], "ngf": convs[-1][0]}
    return {**size, "nc": convs[0][1], "ndf": convs[0][0], "d_bias": "main.0.bias" in weights}


def imported(kind: type[Net], model: ModelConfig, path: Path, weights: Weights) -> Net:
    """The network of that shape with these weights. Raises ValueError if they do not fit it, or are not finite."""
    # Releases of PyTorch before 0.4.1 did not count batches.
    norms = [name.removesuffix("running_mean") for name in weights if name.endswith("running_mean")]
    try:
        return built(kind, model, {f"{norm}num_batches_tracked": torch.zeros(()) for norm in norms} | weights)
    except ValueError as error:
        what = f"{kind.__name__.lower()} of the tutorial at {model.image_size} px"
        raise ValueError(f"'{path}' is no {what} that can be used: {error}") from None


def import_weights(paths: list[Path], out: Path) -> None:
    """Make the checkpoint folder `out` of a generator's file and perhaps its discriminator's, in any order.

    Raises ValueError for files that cannot be, and UserError where `out` is there or cannot be written.
    """
    files = [(path, read_weights(path)) for path in paths]
    files.sort(key=lambda file: is_generator(file[1]))  # the generator last
    if [is_generator(weights) for _, weights in files][-2:] not in ([True], [False, True]) or len(files) > 2:
        raise ValueError("give one generator's file and, if there is one, its discriminator's, then the new folder")
    try:
        model = ModelConfig(**{name: value for _, weights in files for name, value in fields(weights).items()})
    except ValueError as error:
        raise ValueError(f"'{files[-1][0]}' is no generator of the tutorial's: {error}") from None
    generator = imported(Generator, model, *files[-1])
    discriminator = imported(Discriminator, model, *files[0]) if files[1:] else None
    name = out.resolve().name
    card = CARD.format(name=name, size=model.image_size)
    config = {"name": name, "model": asdict(model), "images_seen": 0}
    with new_folder(out) as folder:
        made = folder / "checkpoint"  # `folder` itself may be the current one, which cannot be replaced
        save_checkpoint(made, generator, discriminator, config, card)
        for path in list(made.iterdir()):
            path.rename(folder / path.name)
        made.rmdir()


@guarded("import", ValueError)
def main(argv: list[str] | None = None) -> int:
    """Import weights."""
    parser = argparse.ArgumentParser(prog="python -m dcgan import", description=__doc__)
    parser.add_argument("weights", type=user_path, nargs="+", help="netG.pth and, if you have it, netD.pth")
    parser.add_argument("out", type=user_path, help="checkpoint folder to make")
    flags = parser.parse_args(argv)
    import_weights(flags.weights, flags.out)
    print(f"{flags.out} is made; look at it with:  python app.py --checkpoints {shlex.quote(str(flags.out))}")
    return 0
