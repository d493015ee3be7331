"""Marks in picture files that say a machine made them: XMP with IPTC's digital source type, checkpoint, terms and face.

How XMP lies in each kind of file is Adobe's XMP Specification Part 3: dcgan/pictures.py puts it there.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from dcgan.checkpoint import Checkpoint

TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = "trainedAlgorithmicMedia"  # made by a trained model
COMPOSITE = "compositeSynthetic"  # photographs and generated pictures in one
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<Iptc4xmpExt:DigitalSourceType>{kind}</Iptc4xmpExt:DigitalSourceType>
<Iptc4xmpExt:AISystemUsed>{system}</Iptc4xmpExt:AISystemUsed>
<xmp:CreatorTool>{system}</xmp:CreatorTool>
<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="x-default">{terms}</rdf:li></rdf:Alt></xmpRights:UsageTerms>
<dc:identifier>{link}</dc:identifier>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def xmp(checkpoint: Checkpoint, link: str = "", kind: str = GENERATED) -> bytes:
    """The XMP packet of a picture that a checkpoint drew. link: what makes the face again, as `face_link` writes it."""
    return packet(checkpoint.name, checkpoint.terms, link, kind)


def packet(name: str = "", terms: str | None = None, link: str = "", kind: str = GENERATED) -> bytes:
    """The same of a checkpoint that is known by its name and terms, or not at all."""
    system = f"DCGAN, checkpoint {name}" if name else "DCGAN"
    filled = {"kind": TYPES + kind, "system": system, "terms": terms or "not stated", "link": link}
    return PACKET.format(**{gap: escape(value) for gap, value in filled.items()}).encode()


def face_link(
    checkpoint: str,
    seed: int = 0,
    truncation: float = 1.0,
    edits: Mapping[Any, float] | None = None,
    directions: Mapping[str, float] | None = None,
    walk: Iterable[int] | None = None,
    origin: Iterable[float] | None = None,
    shift: Iterable[float] | None = None,
    moment: int | None = None,
) -> str:
    """What makes a face (demo/face_spec.py) as the page's address has it: see explorer/address.js."""
    fields = {
        "z": ",".join(f"{key}:{value:g}" for key, value in (edits or {}).items()),
        "d": ",".join(f"{key}:{value:g}" for key, value in (directions or {}).items()),
        "w": ".".join(str(int(step)) for step in walk or ()),
        "o": ".".join(str(round(100 * value)) for value in origin or ()),
        "s": ".".join(str(round(100 * value)) for value in shift or ()),
        "t": "" if moment is None else str(moment),
    }
    there = {key: value for key, value in fields.items() if value}
    return urlencode({"face": checkpoint, "seed": int(seed), "truncation": f"{truncation:g}", **there})
