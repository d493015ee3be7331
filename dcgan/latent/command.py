"""`dcgan directions`: fit the named directions of a checkpoint, and choose the seeds to begin with.

python -m dcgan directions checkpoints/faces --dataroot my_photos
"""

import argparse

from safetensors import SafetensorError

from dcgan.checkpoint import DIRECTIONS, Checkpoint, load_checkpoint, save_seeds
from dcgan.cli import guarded, user_source
from dcgan.data import load_images
from dcgan.data.faces import NoDetector, own_frame
from dcgan.data.split import division
from dcgan.direction import Direction, save_directions
from dcgan.errors import UserError, reason
from dcgan.hub.pull import local_folder
from dcgan.latent.directions import fit_directions
from dcgan.latents import latents
from dcgan.metrics.attributes import AttributeNet, attribute_net
from dcgan.metrics.features import filter_features
from dcgan.metrics.opening import opening_seeds
from dcgan.metrics.quality import MIN_COUNT
from dcgan.metrics.readings import Reader, face_reader, label_reader, picture_reader
from dcgan.pictures import picture
from dcgan.sampling import render

REAL = 1_000  # real images that seeds to begin with are to lie among
LOOKED_AT = 32  # pictures in which faces are looked for


@guarded("directions")
def main(argv: list[str] | None = None) -> int:
    """Fit and save directions, and choose seeds to begin with."""
    parser = argparse.ArgumentParser(prog="python -m dcgan directions", description="Fit directions for a checkpoint.")
    parser.add_argument("checkpoint", type=user_source, help="checkpoint folder or run folder")
    parser.add_argument(
        "--dataroot", type=user_source, help="its images, for what their labels say and for seeds to begin with"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the faces that are looked at (default: 0)")
    flags = parser.parse_args(argv)
    checkpoint = load_checkpoint(local_folder(flags.checkpoint))
    model, net, images = checkpoint.model, None, None
    if flags.dataroot:
        images = load_images(flags.dataroot, model.image_size, model.nc, crop=checkpoint.crop, every=checkpoint.every)
        images = images.divided(*division(checkpoint.data))
        net = attribute_net(images)
    directions = fit_directions(checkpoint, readers_for(checkpoint, net), seed=flags.seed)
    path = checkpoint.folder / DIRECTIONS
    try:
        save_directions(path, directions, checkpoint.generator)
        if images:
            real = images.some(REAL)
            if len(real) < MIN_COUNT:
                print(f"no seeds to begin with: they are chosen by {MIN_COUNT} training images or more")
            else:
                features = net.features if net else filter_features(real)
                save_seeds(checkpoint, opening_seeds(checkpoint.generator, features, real))
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{flags.checkpoint}' cannot be written ({reason(error)})") from None
    print(table(directions))
    print(f"saved {path}")
    return 0


def readers_for(checkpoint: Checkpoint, net: AttributeNet | None) -> list[Reader]:
    """What can be read off a checkpoint's pictures: what `net` reads, faces if there are any, and light.

    Prints what is missing, and why.
    """
    readers, (nz, nc) = [label_reader(net)] if net else [], (checkpoint.model.nz, checkpoint.model.nc)
    if not checkpoint.is_drawn:  # the networks know photographs
        print("looking for faces")
        faces = render(checkpoint.generator, latents(range(LOOKED_AT), nz)).permute(0, 2, 3, 1).numpy()
        try:
            if (frame := own_frame([picture(face) for face in faces])) is not None:
                readers.append(face_reader(frame, [each.name for reader in readers for each in reader.readings]))
            else:
                print("no faces found: no sliders for faces")
        except NoDetector as error:
            print(f"no sliders for faces: {error}")
    return [*readers, picture_reader(nc)]


def table(directions: tuple[Direction, ...]) -> str:
    """A line for each direction: its range, fit, effect and largest side effect, these in deviations of the reading."""
    lines = [f"{'':18}{'range':12}{'held-out R2':13}{'from -2 to 2':14}besides"]
    own = {d.name for d in directions}
    for d in directions:
        besides = {name: effect for name, effect in d.effects.items() if name in own - {d.name}}
        most = max(besides, key=lambda name: abs(besides[name]), default="")
        side = f"{most} {besides[most]:+.2f}" if most else ""
        ends = f"{d.low:+g} to {d.high:+g}"
        lines.append(f"{d.name:18}{ends:12}{d.fit:<13.2f}{d.effects.get(d.name, 0):<+14.2f}{side}".rstrip())
    return "\n".join(lines)
