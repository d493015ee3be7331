"""The built-in data set: drawn faces, so that a GAN can be trained and shown without any download.

A face is a handful of factors (skin, hair, glasses, ...). `factors(index)` draws them from the index alone, and
`draw` turns them into a picture: python-avatars composes an SVG, resvg rasterises it. Both packages are needed for
drawing only; everything else here works without them.

Distribution: each factor is drawn independently of all others, with the weights in `_CHOICES`, so the probability
of any combination is the product of its factors'. Skin, hair, clothing, its colour and the background are uniform;
66% wear no glasses, 76% no facial hair, half have plain open eyes; the beard has the colour of the hair. Dark lenses
dim the eyes and a fringe may cover part of the eyebrows: these two factors cannot be read off every picture.
Indices from COUNT on are faces outside the set, drawn from the same distribution.

Credits: the drawings are Avataaars by Pablo Stanley (avataaars.com, blush.design), as packaged by python-avatars (MIT,
(c) 2021 Ibon). That package names no licence for the art itself; DiceBear, which ships the same art, lists it as free
for personal and commercial use. resvg-py (MIT, (c) 2024 baseplate-admin) wraps resvg (Apache-2.0 or MIT).
"""

from __future__ import annotations

import io
import random
from xml.etree import ElementTree

from PIL import Image

SOURCE = "avatars"  # their name as a --dataroot and in a checkpoint's config
COUNT = 20_000
NAME = "drawn faces"  # and their terms, for a model card
LICENSE = "drawings: Avataaars by Pablo Stanley, free for personal and commercial use"
VERSION = 1  # raise it when the same index would be drawn as another face: packed copies are kept by it

# Each factor's values: the word for it, what python-avatars calls it (or the colour), and its weight.
# Left out: what hides the face, needs a prop, is no portrait (tears, crosses for eyes) or does not fit the frame.
_CHOICES: dict[str, dict[str, tuple[str, int]]] = {
    "skin": {
        "porcelain": ("#fbe0cb", 1),
        "light": ("#f3c7a2", 1),
        "golden": ("#e0ab78", 1),
        "tan": ("#c68a5c", 1),
        "brown": ("#ab7046", 1),
        "dark": ("#8c5837", 1),
        "deep": ("#6e4838", 1),
    },
    "hair": {
        "balding": ("SIDES", 1),
        "buzz cut": ("BUZZCUT", 1),
        "short": ("SHORT_FLAT", 1),
        "side parting": ("SHORT_ROUND", 1),
        "waved": ("SHORT_WAVED", 1),
        "short curls": ("SHORT_CURLY", 1),
        "short twists": ("SHORT_DREADS_1", 1),
        "quiff": ("QUIFF", 1),
        "pompadour": ("POMPADOUR", 1),
        "pixie": ("PIXIE", 1),
        "tousled": ("MOWGLI", 1),
        "coils": ("SHORT_DREADS_2", 1),
        "big curls": ("CURLY", 1),
        "afro": ("FRO", 1),
        "bun": ("BUN", 1),
        "bob": ("BOB", 1),
        "fringed bob": ("MIA_WALLACE", 1),
        "shoulder length": ("LONG_NOT_TOO_LONG", 1),
        "long straight": ("STRAIGHT_STRAND", 1),
        "long swept": ("STRAIGHT_1", 1),
        "long wavy": ("CURVY", 1),
        "braids": ("TWIST_LONG_HAIR", 1),
    },
    "hair_color": {
        "black": ("#231a1b", 30),
        "brown": ("#4e3023", 30),
        "auburn": ("#9c4a22", 15),
        "blond": ("#dcb465", 15),
        "gray": ("#b9b4b2", 10),
    },
    "glasses": {
        "none": ("NONE", 66),
        "round": ("ROUND", 13),
        "square": ("PRESCRIPTION_2", 13),
        "sunglasses": ("SUNGLASSES", 8),
    },
    "facial_hair": {
        "none": ("NONE", 76),
        "short beard": ("BEARD_LIGHT", 9),
        "full beard": ("BEARD_MEDIUM", 8),
        "mustache": ("MOUSTACHE_MAGNUM", 7),
    },
    "mouth": {
        "smile": ("SMILE", 26),
        "gentle smile": ("TWINKLE", 22),
        "laugh": ("BIG_SMILE", 18),
        "chatting": ("DEFAULT", 14),
        "serious": ("SERIOUS", 12),
        "frown": ("SAD", 8),
    },
    "eyes": {
        "open": ("DEFAULT", 52),
        "happy": ("HAPPY", 16),
        "sideways": ("SIDE", 10),
        "wink": ("WINK", 8),
        "wide": ("SURPRISED", 6),
        "closed": ("CLOSED", 8),
    },
    "eyebrows": {
        "relaxed": ("DEFAULT_NATURAL", 48),
        "raised": ("RAISED_EXCITED_NATURAL", 25),
        "straight": ("FLAT_NATURAL", 19),
        "stern": ("ANGRY_NATURAL", 8),
    },
    "clothing": {
        "crew neck": ("SHIRT_CREW_NECK", 1),
        "scoop neck": ("SHIRT_SCOOP_NECK", 1),
        "collar": ("COLLAR_SWEATER", 1),
        "hoodie": ("HOODIE", 1),
        "overalls": ("OVERALL", 1),
    },
    "clothing_color": {
        "navy": ("#34507a", 1),
        "teal": ("#3f9c95", 1),
        "red": ("#d9534f", 1),
        "mustard": ("#e8b23a", 1),
        "white": ("#f7f7f5", 1),
        "plum": ("#7c4f86", 1),
    },
    "background": {
        "sky": ("#bfdff5", 1),
        "mint": ("#c4ead2", 1),
        "lavender": ("#d6cff2", 1),
        "rose": ("#f6c9d2", 1),
        "lemon": ("#faecb5", 1),
    },
}

FACTORS: dict[str, tuple[str, ...]] = {name: tuple(values) for name, values in _CHOICES.items()}

# The square of the 264 x 280 drawing that a picture shows: the widest hair, and the head (about y 36 to 194) centred.
_FRAME = "14 -3 236 236"
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"


def factors(index: int) -> dict[str, str]:
    """The factors of face `index`, the same on every machine."""
    if index < 0:
        raise ValueError(f"face index {index} is negative: count faces from 0")
    generator = random.Random(f"avatars {index}")  # a text seed is hashed with SHA-512, whatever the process
    return {
        name: generator.choices(FACTORS[name], weights=[weight for _, weight in values.values()])[0]
        for name, values in _CHOICES.items()
    }


def draw(factors: dict[str, str], size: int = 128) -> Image.Image:
    """The RGB picture, `size` pixels square, of a face with these factors."""
    if size < 1:
        raise ValueError(f"picture size {size} is too small: give at least 1 pixel")
    parts = _parts(factors)
    try:
        drawing = ElementTree.fromstring(_compose(parts))
        _flatten(drawing)
        drawing.attrib.update(viewBox=_FRAME, width=str(size), height=str(size))
        return _rasterise(drawing, parts["background"])
    except ImportError as error:
        raise ImportError("drawing faces needs two packages: pip install python-avatars resvg-py") from error


def face(index: int, size: int = 128) -> tuple[Image.Image, dict[str, str]]:
    """Face `index` of the set: its picture and its factors."""
    chosen = factors(index)
    return draw(chosen, size), chosen


def _parts(factors: dict[str, str]) -> dict[str, str]:
    """What to draw for each factor, in the terms of python-avatars."""
    if factors.keys() != FACTORS.keys():
        wrong = ", ".join(sorted(factors.keys() ^ FACTORS.keys()))
        raise ValueError(f"factors missing or unknown: {wrong}; give a value for exactly {', '.join(FACTORS)}")
    for name, value in factors.items():
        if value not in FACTORS[name]:
            raise ValueError(f"{name} {value!r} is unknown: choose one of {', '.join(FACTORS[name])}")
    return {name: _CHOICES[name][value][0] for name, value in factors.items()}


def _compose(parts: dict[str, str]) -> str:
    """The whole drawing as SVG, on a transparent ground."""
    import python_avatars as pa

    return pa.Avatar(
        style=pa.AvatarStyle.TRANSPARENT,
        skin_color=parts["skin"],
        top=pa.HairType[parts["hair"]],
        hair_color=parts["hair_color"],
        facial_hair=pa.FacialHairType[parts["facial_hair"]],
        facial_hair_color=parts["hair_color"],
        accessory=pa.AccessoryType[parts["glasses"]],
        mouth=pa.MouthType[parts["mouth"]],
        eyes=pa.EyeType[parts["eyes"]],
        eyebrows=pa.EyebrowType[parts["eyebrows"]],
        clothing=pa.ClothingType[parts["clothing"]],
        clothing_color=parts["clothing_color"],
    ).render()


def _flatten(drawing: ElementTree.Element) -> None:
    """Paint each coloured part directly, in place.

    Avataaars colours a part by laying a rectangle over the part's outline, masked to that outline. Filling the
    outline gives the same picture in half the time, and without the dark rim of the fill underneath.
    """
    outlines = {f"url(#{mask.get('id')})": mask[0].get(_HREF) for mask in drawing.iter(f"{_SVG}mask")}
    for group in list(drawing.iter(f"{_SVG}g")):
        for overlay in group.findall(f"{_SVG}g[@mask][@fill]"):
            outline = outlines[overlay.attrib["mask"]]
            base = next((use for use in group.findall(f"{_SVG}use") if use.get(_HREF) == outline), None)
            if base is not None and [leaf.tag for leaf in overlay.iter() if not len(leaf)] == [f"{_SVG}rect"]:
                base.set("fill", overlay.attrib["fill"])
                group.remove(overlay)


def _rasterise(drawing: ElementTree.Element, background: str) -> Image.Image:
    """The drawing in pixels, over a plain colour."""
    import resvg_py

    svg = ElementTree.tostring(drawing, encoding="unicode")
    # There is no text in a face: scanning the fonts of the system would only take time.
    png = resvg_py.svg_to_bytes(svg_string=svg, background=background, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGB")
