"""The marks of generated pictures, read back by another library than the one that writes them."""

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import av
import numpy as np
import pyexiv2
import pytest
from PIL import Image

from dcgan.generate import main
from dcgan.pictures import animation, encoded
from dcgan.provenance import COMPOSITE, TYPES, face_link, packet, xmp
from tests.tiny import save

FACES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
MARKS = packet("me & <you>", "for tests", face_link("me & <you>", 7, directions={"age": 1.5}))


def read(file: bytes) -> dict[str, str]:
    with pyexiv2.ImageData(file) as image:
        return image.read_xmp()


@pytest.mark.parametrize(
    "file",
    [encoded(FACES[0], kind, MARKS) for kind in ("png", "jpeg", "webp")] + [animation(FACES, "webp", xmp=MARKS)],
    ids=["png", "jpeg", "webp", "animated webp"],
)
def test_a_picture_says_that_a_machine_made_it_and_how(file: bytes) -> None:
    found = read(file)
    assert found["Xmp.iptcExt.DigitalSourceType"] == f"{TYPES}trainedAlgorithmicMedia"
    assert found["Xmp.iptcExt.AISystemUsed"] == "DCGAN, checkpoint me & <you>"
    assert "for tests" in found["Xmp.xmpRights.UsageTerms"].values()
    assert found["Xmp.dc.identifier"] == "face=me+%26+%3Cyou%3E&seed=7&truncation=1&d=age%3A1.5"


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_an_animation_says_so_and_plays_as_before(kind: str, tmp_path: Path) -> None:
    marked, plain = animation(FACES, kind, xmp=MARKS), animation(FACES, kind)
    assert marked.count(MARKS) == 1
    for file in (marked, plain):
        if kind == "gif":
            assert Image.open(io.BytesIO(file)).n_frames == 6
        else:
            with av.open(io.BytesIO(file)) as video:
                assert sum(1 for _ in video.decode(video=0)) == 6
    if exiftool := shutil.which("exiftool"):  # what we have installed elsewhere reads XMP of neither
        (tmp_path / f"faces.{kind}").write_bytes(marked)
        command = [exiftool, "-s3", "-XMP:DigitalSourceType", str(tmp_path / f"faces.{kind}")]
        assert subprocess.check_output(command, text=True).strip() == f"{TYPES}trainedAlgorithmicMedia"


def test_generated_files_carry_the_face_unless_that_is_not_wanted(tmp_path: Path) -> None:
    folder = save(tmp_path / "tiny").folder
    for flags, marked in ((["--truncation", "0.5"], True), (["--no-metadata"], False)):
        main([str(folder), "--seeds", "3-40", "--out", str(tmp_path / "faces.zip"), *flags])
        with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
            for seed in (3, 40):
                found = read(archive.read(f"{seed:06d}.png"))
                assert found.get("Xmp.dc.identifier") == (f"face=tiny&seed={seed}&truncation=0.5" if marked else None)


def test_photographs_beside_fakes_are_a_composite(tmp_path: Path) -> None:
    found = read(encoded(FACES[0], xmp=xmp(save(tmp_path), kind=COMPOSITE)))
    assert found["Xmp.iptcExt.DigitalSourceType"] == f"{TYPES}compositeSynthetic"


def test_terms_of_the_data_that_a_training_began_from_hold_too(tmp_path: Path) -> None:
    init = {"name": "faces", "images_seen": 9, "data": {"license": "for research"}}
    checkpoint = save(tmp_path, data={"license": "for tests only"}, init=init)
    terms = read(encoded(FACES[0], xmp=xmp(checkpoint)))["Xmp.xmpRights.UsageTerms"].values()
    assert [*terms] == ["for tests only; for research"]


def test_a_face_given_in_whole_floats_has_the_link_of_one_given_in_integers() -> None:
    assert face_link("people", 7.0, walk=[1.0, 9.0]) == face_link("people", 7, walk=[1, 9])  # type: ignore[arg-type, list-item]
