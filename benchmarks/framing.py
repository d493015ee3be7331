"""How many faces are found in photos, and how far they are framed from where they were: benchmarks/framing.py PHOTOS

PHOTOS are framed as UTKFace frames its own. Each is enlarged, turned and pasted onto soft colours, at a random place
and size; what is found is compared with what was pasted.
"""

import argparse

import numpy as np
from PIL import Image

from dcgan.data.faces import FRAME, find_faces
from dcgan.data.sources import open_source

WIDTH, HEIGHT = 1600, 1200
SIZES = 80, 1000  # pixels of a pasted picture's side, even in their logarithm
TURNS = 0, 15, 30, 45, 90, 180  # degrees to either side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder or zip")
    parser.add_argument("--number", type=int, default=100, help="photos for each turn")
    flags = parser.parse_args()
    source, random = open_source(flags.photos), np.random.default_rng(0)
    print(
        f"{'turn':>6}{'found':>8}{'others':>8}{'error of the eyes, median':>28}{'95 %':>8}   in % of the frame's side"
    )
    for turn in TURNS:
        found, others, errors = 0, 0, []
        for index in random.integers(0, len(source.names), flags.number):
            side = int(np.exp(random.uniform(*np.log(SIZES))))
            angle = float(random.choice([-turn, turn]))
            colours = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            photo = Image.fromarray(colours).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            middle = [random.uniform(side / 2, length - side / 2) for length in photo.size]
            face = source.open(index).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
            face = face.rotate(angle, Image.Resampling.BICUBIC, expand=True)
            whole = Image.new("L", (side, side), 255).rotate(angle, expand=True)
            photo.paste(face, (round(middle[0] - face.width / 2), round(middle[1] - face.height / 2)), whole)
            # Where the face was pasted: from a share z of the side to pixels.
            to_pixels = side * np.exp(-1j * np.radians(angle))
            eyes = (FRAME[:2] - 0.5) @ (1, 1j) * to_pixels + complex(*middle)
            near = []
            for landmarks in find_faces(photo):
                error = np.abs(landmarks[:2] @ (1, 1j) - eyes).mean() / side
                near += [error] if error < 0.2 else []
                others += error >= 0.2
            found += bool(near)
            errors += near[:1]
        median, most = np.quantile(errors, (0.5, 0.95)) * 100
        print(f"{turn:>5}°{found / flags.number:>8.0%}{others:>8}{median:>28.1f}{most:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
