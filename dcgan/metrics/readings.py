"""What can be read off a picture: measures of any picture, of photographed faces, and of faces like labelled ones.

A reader gives several readings at once. What directions in latent space are fitted to.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, affine_grid, grid_sample

from dcgan.data.faces import FRAME, Landmarks
from dcgan.data.faces import side as face_side
from dcgan.metrics.attributes import Attribute, AttributeNet
from dcgan.metrics.face_nets import EXPRESSIONS, age_and_gender, expressions, landmarks

SIDE = 32  # pixels: pictures are measured at this size
LUMA = (0.299, 0.587, 0.114)  # BT.601

# The sliders of the drawn faces' factors: towards some of a factor's values, away from all others.
DRAWN = {
    "skin": ("dark skin", ("brown", "dark", "deep")),
    "hair": (
        "long hair",
        ("bob", "fringed bob", "shoulder length", "long straight", "long swept", "long wavy", "braids"),
    ),
    "hair_color": ("light hair", ("blond", "gray")),
    "glasses": ("glasses", ("round", "square", "sunglasses")),
    "facial_hair": ("beard", ("short beard", "full beard")),
    "mouth": ("laugh", ("laugh",)),
    "eyes": ("closed eyes", ("happy", "closed")),
    "eyebrows": ("raised eyebrows", ("raised",)),
    "clothing_color": ("light clothes", ("mustard", "white")),
    "background": ("warm background", ("rose", "lemon")),
}


@dataclass(frozen=True)
class Reading:
    """A number that is read off a picture. kind: "number", or "trait" for a probability.

    ends: what little and much of it are called; empty where the name says it. auxiliary: no direction is fitted to it,
    but directions are to leave it unchanged.
    """

    name: str
    ends: tuple[str, ...] = ()
    kind: str = "number"
    auxiliary: bool = False


ENDS = {"age": ("younger", "older")}
AGE_AND_GENDER = (Reading("age", ENDS["age"]), Reading("gender", ("male", "female")))
SHAPE = (
    Reading("mouth", ("closed", "open")),
    Reading("head turn", ("left", "right")),
    Reading("head tilt", ("left", "right")),
    Reading("nod", ("down", "up")),
    Reading("eyebrows", ("lowered", "raised")),
    Reading("eyes", ("narrowed", "wide")),
    Reading("size", auxiliary=True),
)
FACE = (
    Reading("smile", ("serious", "smiling")),
    *SHAPE,
    Reading("glasses"),
    Reading("forehead", ("bare", "under hair")),
)
LIGHT = (
    Reading("lighting", ("left", "right")),
    Reading("background", ("darker", "lighter")),
    Reading("brightness", ("darker", "brighter")),
    Reading("contrast", ("softer", "stronger")),
)
COLOUR = (Reading("warmth", ("cooler", "warmer")), Reading("saturation", ("paler", "more colourful")))


@dataclass(frozen=True)
class Reader:
    """Readings, and the function that reads them: uint8 images [N, nc, S, S] -> [N, len(readings)]."""

    readings: tuple[Reading, ...]
    read: Callable[[Tensor], Tensor]


def label_reader(net: AttributeNet) -> Reader:
    """Reads what images are labelled with: numbers in their unit, and probabilities of values."""
    found: list[tuple[Reading, Attribute, list[int]]] = []
    for each in net.attributes:
        if not each.values:
            found.append((Reading(each.name, ENDS.get(each.name, ())), each, []))
        elif each.auxiliary:
            for i, value in enumerate(each.values):
                found.append((Reading(f"{each.name} {value}", (), "trait", auxiliary=True), each, [i]))
        elif len(each.values) == 2:
            found.append((Reading(each.name, each.values, "trait"), each, [1]))
        elif each.name in DRAWN:
            name, values = DRAWN[each.name]
            found.append((Reading(name, (), "trait"), each, [each.values.index(value) for value in values]))

    def read(images: Tensor) -> Tensor:
        outputs = dict(zip(net.attributes, net.split(net.read(images)[1]), strict=True))
        columns = [
            outputs[each].softmax(dim=1)[:, chosen].sum(dim=1)
            if chosen
            else outputs[each][:, 0] * each.deviation + each.mean
            for _, each, chosen in found
        ]
        return torch.stack(columns, dim=1).cpu()

    return Reader(tuple(reading for reading, _, _ in found), read)


def face_reader(frame: Landmarks, known: Collection[str] = ()) -> Reader:
    """Reads photographed faces.

    frame: where their landmarks lie (dcgan.data.faces). known: names of readings that another reader has.
    """
    people = AGE_AND_GENDER if not {each.name for each in AGE_AND_GENDER} & {*known} else ()

    def read(images: Tensor) -> Tensor:
        images = cut(images, frame)
        points, logits = landmarks(images), expressions(images)
        happy = EXPRESSIONS.index("happy")
        others = torch.cat([logits[:, :happy], logits[:, happy + 1 :]], dim=1)
        light = grey(adaptive_avg_pool2d(images / 255, SIDE))
        columns = [
            *(age_and_gender(images) if people else ()),
            logits[:, happy] - others.logsumexp(dim=1),
            *shape(points),
            glasses(images, points),
            light[:, 14:22, 8:24].mean(dim=(1, 2)) - light[:, 1:6, 10:22].mean(dim=(1, 2)),
        ]
        return torch.stack(columns, dim=1)

    return Reader((*people, *FACE), read)


def shape(points: Tensor) -> tuple[Tensor, ...]:
    """Landmarks [N, 68, 2] (iBUG's, x and y in sides of the picture) -> the readings of SHAPE, [N] each.

    Lengths are in those of the line between the eyes; the size is that length.
    """
    left, right, mouth = points[:, 36:42].mean(dim=1), points[:, 42:48].mean(dim=1), points[:, 48:60].mean(dim=1)
    eyes, apart = (left + right) / 2, (right - left).norm(dim=1)
    nose = points[:, 30] - eyes
    lids = (points[:, [37, 38, 43, 44]] - points[:, [41, 40, 47, 46]]).norm(dim=2)
    lips = (points[:, 61:64] - points[:, [67, 66, 65]]).norm(dim=2)
    return (
        lips.mean(dim=1) / apart,
        2 * nose[:, 0] / apart,
        (right - left)[:, 1] / apart,
        -nose[:, 1] / (mouth - eyes)[:, 1].clamp_min(0.01),
        (eyes[:, 1] - points[:, 17:27, 1].mean(dim=1)) / apart,
        lids.mean(dim=1) / apart,
        apart,
    )


def glasses(images: Tensor, points: Tensor) -> Tensor:
    """How dark the lines are that cross the bridge of the nose and the cheeks under the eyes [N], in grey levels.

    images: float [N, nc, S, S], 0 to 255. points: their landmarks [N, 68, 2]. Of 1,000 photos of UTKFace the number
    ranks one with glasses above one without with a probability of 0.96.
    """
    left, right = points[:, 36:42].mean(dim=1), points[:, 42:48].mean(dim=1)
    across = right - left
    down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
    # A band around the eyes, from 0.45 of their distance above to 0.65 below: 64 x 32 pixels, with the eyes level.
    theta = torch.stack([2.2 * across, 1.1 * down, left + right + 0.2 * down - 1], dim=2)
    where = affine_grid(theta, [len(images), images.shape[1], 32, 64], align_corners=False)
    band = grey(grid_sample(images, where, padding_mode="border", align_corners=False))
    bridge, cheeks = band[:, :, 29:35].mean(dim=2), torch.cat([band[:, :, 8:26], band[:, :, 38:56]], dim=2)
    return _dark_lines(bridge)[:, 4:16].mean(dim=1) + _dark_lines(cheeks)[:, 15:26].mean(dim=(1, 2))


def _dark_lines(rows: Tensor) -> Tensor:
    """How much darker each row of [N, H, ...] is than those two above and below it, or 0: [N, H - 4, ...]."""
    return (rows[:, :-4] + rows[:, 4:] - 2 * rows[:, 2:-2]).clamp_min(0)


def cut(images: Tensor, frame: Landmarks) -> Tensor:
    """The squares of images, float [N, nc, S, S], in which faces lie as UTKFace frames them; edges are continued."""
    side = face_side(frame)
    x, y = 2 * (frame.mean(axis=0) + side * (0.5 - FRAME.mean(axis=0))) - 1
    where = torch.tensor([[side, 0, x], [0, side, y]], dtype=torch.float32).expand(len(images), -1, -1)
    places = affine_grid(where, list(images.shape), align_corners=False)
    return grid_sample(images.float(), places, padding_mode="border", align_corners=False)


def picture_reader(nc: int) -> Reader:
    """Reads light and colour, in grey levels from 0 to 1, off pictures of anything in the middle of something."""

    def read(images: Tensor) -> Tensor:
        x = adaptive_avg_pool2d(images.float() / 255, SIDE)
        y = grey(x)
        beside = torch.cat([y[:, :8, :3], y[:, :8, -3:]], dim=2).mean(dim=(1, 2))  # of the head, high up
        middle = y[:, 8:24, 8:24].mean(dim=(1, 2))
        columns = [y[:, 10:26, 17:25].mean(dim=(1, 2)) - y[:, 10:26, 7:15].mean(dim=(1, 2)), beside, middle]
        columns.append(y.flatten(1).std(dim=1))
        if nc == 3:
            columns += [(x[:, 0] - x[:, 2]).mean(dim=(1, 2)), (x.amax(dim=1) - x.amin(dim=1)).mean(dim=(1, 2))]
        return torch.stack(columns, dim=1)

    return Reader((*LIGHT, *(COLOUR if nc == 3 else ())), read)


def grey(images: Tensor) -> Tensor:
    """Images [N, nc, S, S] -> their luma [N, S, S]."""
    return images[:, 0] if images.shape[1] == 1 else torch.einsum("nchw,c->nhw", images, torch.tensor(LUMA))
