"""What a checkpoint's sliders do, measured by other instruments than they were fitted with, and a sheet of them.

    python benchmarks/sliders.py checkpoints/faces --sheet docs/sliders.webp

YuNet finds eyes, nose and mouth, and CIELAB colours say what light there is; age and gender, fitted to a network that
learned UTKFace's labels, are read by face-api's. Effects are in deviations of each reading over unmoved faces.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.checkpoint import load_checkpoint
from dcgan.data.faces import plain_face
from dcgan.latents import latents
from dcgan.metrics.face_nets import age_and_gender
from dcgan.pictures import picture
from dcgan.sampling import render

SEEDS = range(4_000_000, 4_000_064)
MOVE = 2  # deviations of z, each way


def instruments(faces: Tensor) -> dict[str, Tensor]:
    """Readings [N] of faces, uint8 [N, 3, S, S], by the slider that they check; NaN where no face is found."""
    pixels = faces.permute(0, 2, 3, 1).numpy()
    age, gender = age_and_gender(faces)
    rows = [{**light(face), **shape(face)} for face in pixels]
    return {"age": age, "gender": gender, **{name: torch.tensor([row[name] for row in rows]) for name in rows[0]}}


def light(face: np.ndarray) -> dict[str, float]:
    """Light and colour in CIELAB: lightness 0 to 100, a and b around 0."""
    lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    side = len(lab)
    lightness, middle = lab[:, :, 0], lab[side // 4 : -side // 4, side // 4 : -side // 4]
    corners = np.concatenate([lab[: side // 8, : side // 8], lab[: side // 8, -side // 8 :]])
    forehead = lab[side // 16 : side // 6, side // 3 : -side // 3].mean(axis=(0, 1))
    columns = middle[:, :, 0].mean(axis=0)
    return {
        "lighting": float(np.polyfit(np.arange(len(columns)), columns, 1)[0]),
        "background": float(corners[:, :, 0].mean()),
        "brightness": float(middle[:, :, 0].mean()),
        "contrast": float(lightness.std()),
        "warmth": float(lab[:, :, 2].mean()),
        "saturation": float(np.hypot(lab[:, :, 1], lab[:, :, 2]).mean()),
        "forehead": float(middle[:, :, 1].mean() - forehead[1]),  # skin is redder than hair
    }


def shape(face: np.ndarray) -> dict[str, float]:
    """The face's shape by YuNet's landmarks, in distances between the eyes."""
    found = plain_face(picture(face))
    if found is None:
        return dict.fromkeys(("smile", "mouth", "head turn", "nod"), float("nan"))
    left, right, nose, *corners = found
    eyes, mouth, apart = (left + right) / 2, sum(corners) / 2, np.hypot(*(right - left))
    top, bottom = (int(np.clip(mouth[1] + way * apart / 4, 0, len(face) - 2)) for way in (-1, 1))
    start, end = (int(np.clip(x, 0, len(face) - 2)) for x in (corners[0][0], corners[1][0]))
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return {
        "smile": float(np.hypot(*(corners[1] - corners[0])) / apart),
        "mouth": float(grey[top : bottom + 1, start : end + 1].std()),
        "head turn": float((nose - eyes)[0] / apart),
        "nod": float(-(nose - eyes)[1] / (mouth - eyes)[1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--sheet", type=Path, help="WebP of one face at both ends of each slider")
    parser.add_argument("--seed", type=int, help="the face on it (default: the first seed to begin with)")
    flags = parser.parse_args()
    checkpoint = load_checkpoint(flags.checkpoint)
    z = latents(SEEDS, checkpoint.model.nz)
    spread = {
        name: values[~values.isnan()].std() for name, values in instruments(render(checkpoint.generator, z)).items()
    }

    print(f"| from -{MOVE} to {MOVE} | range | held-out R² | as fitted | by another instrument | largest other |")
    print("|---|---|---|---|---|---|")
    for d in checkpoint.directions:
        before, after = (instruments(render(checkpoint.generator, z + t * d.vector)) for t in (-MOVE, MOVE))
        change = {name: float(((after[name] - before[name]) / spread[name]).nanmean()) for name in spread}
        own = f"{change.pop(d.name):+.2f}" if d.name in change else "-"
        other = max(change, key=lambda name: abs(change[name]))
        ends = f"{d.name}: {' to '.join(d.ends)}" if d.ends else d.name
        print(
            f"| {ends} | {d.low:+g} to {d.high:+g} | {d.fit:.2f} | {d.effects[d.name]:+.2f} | {own} "
            f"| {other} {change[other]:+.2f} |"
        )

    if flags.sheet:
        seeds = checkpoint.config.get("seeds") or [0]
        start = latents([flags.seed if flags.seed is not None else seeds[0]], checkpoint.model.nz)
        sheet(checkpoint, start).save(flags.sheet, "WEBP", quality=85, method=6)


def sheet(checkpoint, start: Tensor, side: int = 128) -> Image.Image:
    """One face at both ends of the first ten sliders, five in a row of two."""
    shown = checkpoint.directions[:10]
    whole = Image.new("RGB", (5 * (2 * side + 12), 2 * (side + 24)), "white")
    draw = ImageDraw.Draw(whole)
    for i, d in enumerate(shown):
        x, y = i % 5 * (2 * side + 12) + 6, i // 5 * (side + 24)
        ends = torch.stack([max(d.low, -3) * d.vector, min(d.high, 3) * d.vector])
        for j, face in enumerate(render(checkpoint.generator, start + ends).permute(0, 2, 3, 1).numpy()):
            whole.paste(picture(face).resize((side, side), Image.Resampling.BICUBIC), (x + j * side, y + 20))
        low, high = d.ends or ("less", "more")
        draw.text((x, y + 4), low, "black")
        draw.text((x + side, y + 4), d.name, "black", anchor="ma")
        draw.text((x + 2 * side, y + 4), high, "black", anchor="ra")
    return whole


if __name__ == "__main__":
    main()
