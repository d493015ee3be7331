"""ZeroGPU: the search for a photo's face asks for a GPU, and nothing else does. `spaces` is a stand-in."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcgan.demo import inversion as search
from dcgan.demo.studio import Studio
from dcgan.demo.zerogpu import LENT
from dcgan.pictures import picture
from tests.demo_fixtures import make_checkpoint

ROOT = Path(__file__).parent.parent

# As the real one does it: arguments and results go through queues to a process of the function's own, and back.
SPACES = """
import multiprocessing, os
calls = []

def GPU(duration):
    def decorate(task):
        def wrapped(*args):
            calls.append([task.__name__, duration])
            if os.environ.get("REFUSED"):
                raise RuntimeError("You have exceeded your GPU quota")
            fork = multiprocessing.get_context("fork")
            asked, answers = fork.SimpleQueue(), fork.SimpleQueue()

            def work():
                for answer in task(*asked.get()):
                    answers.put(answer)
                answers.put(None)

            process = fork.Process(target=work, daemon=True)
            process.start()
            asked.put(args)
            while (answer := answers.get()) is not None:
                yield answer
        return wrapped
    return decorate
"""
VISIT = """
import json, math, os, sys
import torch
torch.set_num_threads(1)
import spaces
from dcgan import pictures
from dcgan.latent import inversion
from dcgan.demo import inversion as search
from dcgan.demo import studio
inversion.SAMPLES, search.LIMITS = 64, (math.inf, 12)
demo = studio.Studio(sys.argv[1])
demo.around(), demo.ranking(), demo.path(), demo.arithmetic([1], [2], [3])
calls = [list(spaces.calls)]
found = []
for refused in ("", "1"):
    os.environ["REFUSED"] = refused
    pictures.picture(demo.face(9)).save("photo.png")
    *_, last = search.find(demo, "photo.png")
    found.append(last.origin)
    calls.append(list(spaces.calls))
print(json.dumps([calls, found]))
"""


def test_the_search_alone_asks_for_a_gpu_and_is_done_without_where_none_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = make_checkpoint(tmp_path / "run" / "people")
    (tmp_path / "spaces.py").write_text(SPACES)
    done = subprocess.run(
        [sys.executable, "-c", VISIT, people],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "SPACES_ZERO_GPU": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (before, lent, refused), (with_one, without) = json.loads(done.stdout)
    assert before == []
    assert lent == [["search_with_gpu", 20]]
    assert refused == 2 * lent
    monkeypatch.setattr("dcgan.latent.inversion.SAMPLES", 64)
    monkeypatch.setattr("dcgan.demo.inversion.LIMITS", (math.inf, 12))
    studio = Studio(people)
    picture(studio.face(9)).save(tmp_path / "photo.png")
    *_, here = search.find(studio, tmp_path / "photo.png")
    assert with_one == without == here.origin
    assert not LENT  # on this machine
