"""What installs the program: the package, the lists of requirements, the README's front matter and the workflows."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from dcgan import __all__ as public
from dcgan.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_requirements_are_those_of_the_package_and_its_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    assert lines("requirements.txt") == PROJECT["dependencies"] + extras["demo"]
    for name in ("hub", "fid", "eyes", "export"):
        assert lines(f"requirements-{name}.txt") == extras[name]


def test_an_installed_torch_is_kept() -> None:
    torches = [line for line in PROJECT["dependencies"] if line.startswith("torch")]
    assert torches
    assert all(re.fullmatch(r"[a-z]+>=[\d.]+", line) for line in torches)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built and installed into an empty folder."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "dcgan", folder / "source" / "dcgan", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "./source", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run(build, check=True, cwd=folder, timeout=1200)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_package_has_every_module_and_every_file_of_the_page(installed: Path) -> None:
    names = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    tracked = subprocess.run(["git", "ls-files", "dcgan"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [name for name in tracked.splitlines() if (ROOT / name).exists() and name not in names] == []
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"dcgan"}


HELP = """
import sys
sys.path.insert(0, sys.argv[1])
from dcgan.__main__ import main
for name in sys.argv[2:]:
    try:
        main([name, "--help"])
    except SystemExit as ended:
        assert not ended.code
"""


def test_every_command_runs_from_the_installed_package(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", HELP, str(installed), *COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^usage: python -m dcgan (\w+)", done.stdout, re.MULTILINE) == list(COMMANDS)


def test_help_names_every_command_and_another_is_refused_in_one_line(capsys: pytest.CaptureFixture) -> None:
    assert main([]) == main(["--help"]) == 0
    listed = re.findall(r"^  (\w+) +\w", capsys.readouterr().out, re.MULTILINE)
    assert listed == [*COMMANDS, *COMMANDS]
    assert main(["paint"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("dcgan: no command 'paint'")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", ["generate", "evaluate", "directions", "hub push"])
@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_earlier_spellings_name_the_new_one_and_run(monkeypatch, capsys, name):
    module, *arguments = name.split()
    monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"dcgan.{module}", run_name="__main__")
    out, err = capsys.readouterr()
    assert not ended.value.code
    assert err == f"python -m dcgan.{module} is now: python -m dcgan {name.split()[-1]}\n"
    assert out.startswith(f"usage: python -m dcgan {name.split()[-1]} ")


def test_the_package_imports_its_public_names_on_first_use() -> None:
    code = "import sys, dcgan; assert not any(name.startswith('dcgan.') for name in sys.modules); from dcgan import *; "
    code += "print([name for name in dcgan.__all__ if eval(name).__name__ != name]); dcgan.nothing"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.stdout == "[]\n"
    assert done.stderr.endswith("AttributeError: module 'dcgan' has no attribute 'nothing'\n")
    assert "load_checkpoint" in public


def test_front_matter_is_what_a_gradio_space_needs() -> None:
    front = yaml.safe_load(README.split("---\n")[1])
    assert front["sdk"] == "gradio"
    assert f"gradio=={front['sdk_version']}" in lines("requirements.txt")
    assert (ROOT / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
    assert {front["colorFrom"], front["colorTo"]} <= {
        *("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
    }
    assert re.fullmatch(r"3\.\d+", front["python_version"])


def test_pictures_and_files_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_workflows_run_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"]
        runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
        assert runs
        assert {target for run in runs for target in re.findall(r"make ([\w-]+)", run)} <= targets
