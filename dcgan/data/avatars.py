"""The built-in data set: drawn faces, so that a GAN can be trained and shown without any download.

A face is a handful of independent factors (skin, hair, ...) with the weights of TABLE. `factors(index)` chooses
them; `draw` makes a picture of them: python-avatars composes an SVG, resvg rasterises it. Indices from COUNT on are
faces outside the set, of the same distribution.

Credits: the drawings are Avataaars by Pablo Stanley (avataaars.com, blush.design), as packaged by python-avatars (MIT,
(c) 2021 Ibon). That package names no licence for the art itself; DiceBear, which ships the same art, lists it as free
for personal and commercial use. resvg-py (MIT, (c) 2024 baseplate-admin) wraps resvg (Apache-2.0 or MIT).
"""

from __future__ import annotations

import io
import random
import re
from xml.etree import ElementTree

from PIL import Image

SOURCE = "avatars"  # their name as a --dataroot and in a checkpoint's config
COUNT = 20_000
NAME = "drawn faces"  # and their terms, for a model card
LICENSE = "drawings: Avataaars by Pablo Stanley, free for personal and commercial use"
VERSION = 1  # part of a packed set's key: raise it when an index gives another face

# The values of each factor: a word, what python-avatars calls it (or the colour), and its weight if that is not 1.
# Left out: what hides the face, needs a prop, is no portrait (tears, crosses for eyes) or does not fit the frame.
TABLE = """
skin: porcelain #fbe0cb, light #f3c7a2, golden #e0ab78, tan #c68a5c, brown #ab7046, dark #8c5837, deep #6e4838
hair: balding SIDES, buzz cut BUZZCUT, short SHORT_FLAT, side parting SHORT_ROUND, waved SHORT_WAVED,
    short curls SHORT_CURLY, short twists SHORT_DREADS_1, quiff QUIFF, pompadour POMPADOUR, pixie PIXIE, tousled MOWGLI,
    coils SHORT_DREADS_2, big curls CURLY, afro FRO, bun BUN, bob BOB, fringed bob MIA_WALLACE,
    shoulder length LONG_NOT_TOO_LONG, long straight STRAIGHT_STRAND, long swept STRAIGHT_1, long wavy CURVY,
    braids TWIST_LONG_HAIR
hair_color: black #231a1b 30, brown #4e3023 30, auburn #9c4a22 15, blond #dcb465 15, gray #b9b4b2 10
glasses: none NONE 66, round ROUND 13, square PRESCRIPTION_2 13, sunglasses SUNGLASSES 8
facial_hair: none NONE 76, short beard BEARD_LIGHT 9, full beard BEARD_MEDIUM 8, mustache MOUSTACHE_MAGNUM 7
mouth: smile SMILE 26, gentle smile TWINKLE 22, laugh BIG_SMILE 18, chatting DEFAULT 14, serious SERIOUS 12, frown SAD 8
eyes: open DEFAULT 52, happy HAPPY 16, sideways SIDE 10, wink WINK 8, wide SURPRISED 6, closed CLOSED 8
eyebrows: relaxed DEFAULT_NATURAL 48, raised RAISED_EXCITED_NATURAL 25, straight FLAT_NATURAL 19, stern ANGRY_NATURAL 8
clothing: crew neck SHIRT_CREW_NECK, scoop neck SHIRT_SCOOP_NECK, collar COLLAR_SWEATER, hoodie HOODIE, overalls OVERALL
clothing_color: navy #34507a, teal #3f9c95, red #d9534f, mustard #e8b23a, white #f7f7f5, plum #7c4f86
background: sky #bfdff5, mint #c4ead2, lavender #d6cff2, rose #f6c9d2, lemon #faecb5
"""
VALUE = re.compile(r"([a-z ]+) (\S+?)(?: (\d+))?(?:, |$)")


def _table() -> dict[str, dict[str, tuple[str, int]]]:
    """TABLE as factor -> word -> (part, weight)."""
    lines = (line.partition(": ") for line in TABLE.replace(",\n    ", ", ").strip().splitlines())
    return {
        factor: {word: (part, int(weight or 1)) for word, part, weight in VALUE.findall(values)}
        for factor, _, values in lines
    }


_CHOICES = _table()
FACTORS = {name: tuple(values) for name, values in _CHOICES.items()}

# The square of the 264 x 280 drawing that a picture shows: the widest hair, and the head (about y 36 to 194) centred.
_FRAME = "14 -3 236 236"
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"


def factors(index: int) -> dict[str, str]:
    """The factors of face `index`, from 0: the same on every machine."""
    generator = random.Random(f"avatars {index}")  # a text seed is hashed with SHA-512, in every process alike
    return {
        name: generator.choices(FACTORS[name], weights=[weight for _, weight in values.values()])[0]
        for name, values in _CHOICES.items()
    }


def draw(factors: dict[str, str], size: int = 128) -> Image.Image:
    """An RGB picture, `size` pixels square, of a face with a value of FACTORS for each factor.

    Raises KeyError for other factors or values, ImportError without the packages that draw.
    """
    parts = {name: values[factors[name]][0] for name, values in _CHOICES.items()}
    try:
        import resvg_py

        drawing = ElementTree.fromstring(_compose(parts))
        _flatten(drawing)
        drawing.attrib.update(viewBox=_FRAME, width=str(size), height=str(size))
        # There is no text in a face: looking through the fonts of the system would only take time.
        svg, ground = ElementTree.tostring(drawing, encoding="unicode"), parts["background"]
        png = resvg_py.svg_to_bytes(svg_string=svg, background=ground, skip_system_fonts=True)
        return Image.open(io.BytesIO(png)).convert("RGB")
    except ImportError as error:
        raise ImportError("drawing faces needs two packages: pip install python-avatars resvg-py") from error


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
