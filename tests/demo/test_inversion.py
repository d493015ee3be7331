"""Photo -> face for visitors, on a CPU, on a lent GPU, and where none is to be had. `spaces` is a stand-in."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcgan.demo import inversion
from dcgan.demo.studio import Studio
from dcgan.pictures import picture
from tests.demo_fixtures import make_checkpoint

ROOT = Path(__file__).parents[2]

# The real one runs the task in a process of its own: arguments and results are pickled.
SPACES = """
import os, pickle
calls = []

def GPU(duration):
    def decorate(task):
        def wrapped(*args):
            calls.append([task.__name__, duration])
            if os.environ["GPU"] == "refused":
                raise RuntimeError("You have exceeded your GPU quota")
            for output in task(*pickle.loads(pickle.dumps(args))):
                yield pickle.loads(pickle.dumps(output))
        return wrapped
    return decorate
"""
VISIT = """
import json, math, os, sys
import torch
torch.set_num_threads(1)
import spaces
from dcgan.demo import inversion, studio
from dcgan.latent import inversion as search
from dcgan.pictures import picture
search.SAMPLES, inversion.LIMITS = 64, (math.inf, 12)
demo = studio.Studio(sys.argv[1])
demo.ranking(), demo.path(), demo.arithmetic([1], [2], [3])
picture(demo.face(9)).save("photo.png")
answers = [list(spaces.calls)]
whole = search.Inversion.search
def broken(*args):
    yield from list(whole(*args))[:2]
    raise ArithmeticError("in the middle")
for gpu in ("there", "refused", "broken"):
    os.environ["GPU"] = gpu
    search.Inversion.search = broken if gpu == "broken" else whole
    try:
        *_, last = inversion.find(demo, "photo.png")
        answers.append(last.origin)
    except ArithmeticError as error:
        answers.append(str(error))
print(json.dumps([answers, spaces.calls]))
"""


@pytest.fixture(scope="module")
def studio(checkpoints: Path) -> Studio:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcgan.latent.inversion.SAMPLES", 64)
        patch.setattr(inversion, "LIMITS", (math.inf, 12))
        yield Studio(checkpoints)


def photo_of(face: np.ndarray, path: Path) -> Path:
    picture(face).save(path, "PNG")
    return path


def test_a_photo_leads_to_a_face_that_explore_goes_on_from(studio: Studio, tmp_path: Path) -> None:
    *_, last = inversion.find(studio, photo_of(studio.face(9), tmp_path / "photo.png"))
    assert not last.face_found  # the networks of tests draw no faces: the centre stands in
    assert np.array_equal(last.target, studio.face(9))
    assert last.done == 1
    assert last.error == pytest.approx(np.abs(last.face.astype(int) - last.target).mean())
    assert np.array_equal(studio.face(origin=last.origin), last.face)
    samples = [np.abs(studio.face(seed).astype(int) - last.target).mean() for seed in range(64) if seed != 9]
    assert last.error < min(samples)


def test_a_photo_stays_where_it_is_and_others_may_give_it(studio: Studio, tmp_path: Path) -> None:
    photo = photo_of(studio.face(1), tmp_path / "photo.png")  # Gradio keeps what has the same bytes in one place
    given_up = inversion.find(studio, photo)
    next(given_up)
    given_up.close()
    assert [found.done for found in inversion.find(studio, photo)][-1] == 1
    assert list(tmp_path.iterdir()) == [photo]


def test_a_gpu_is_asked_for_by_the_search_alone_and_only_its_lack_falls_back(studio: Studio, tmp_path: Path) -> None:
    people = make_checkpoint(tmp_path / "run" / "people")
    (tmp_path / "spaces.py").write_text(SPACES)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "SPACES_ZERO_GPU": "true"}
    command = [sys.executable, "-c", VISIT, str(people)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    (before, there, refused, broken), calls = json.loads(done.stdout)
    assert before == []
    assert calls == 3 * [["_search_on_gpu", 20]]
    *_, here = inversion.find(studio, photo_of(studio.face(9), tmp_path / "photo.png"), "people")
    assert there == refused == here.origin
    assert broken == "in the middle", "an error of the search is raised, and it does not start over"
