"""`python -m dcgan import`: the tutorial's weights as a checkpoint."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dcgan.checkpoint import CheckpointError, load_checkpoint
from dcgan.demo.checkpoints import Checkpoints, about, replay
from dcgan.importing import main
from tests.tiny import tutorial_nets


class Wrapped(nn.Module):
    """A network as the tutorial and pytorch/examples wrap it."""

    def __init__(self, main: nn.Module):
        super().__init__()
        self.main = main


@pytest.fixture
def nets() -> list[nn.Module]:
    """Of 64 px, as they are used: in eval mode."""
    return [Wrapped(net).eval() for net in tutorial_nets(3, 7, 4, 5)]


def saved(folder: Path, name: str, content: object) -> str:
    torch.save(content, folder / name)
    return str(folder / name)


@pytest.mark.parametrize(
    "rename",
    [str, lambda name: f"module.{name}", lambda name: f"_orig_mod.{name}", lambda name: name.removeprefix("main.")],
)
@pytest.mark.parametrize("order", [1, -1])
def test_both_networks_compute_what_they_did_whatever_their_prefix_and_order(nets, tmp_path, rename, order):
    states = [{rename(k): v for k, v in net.state_dict().items()} for net in nets]
    files = [saved(tmp_path, f"net{i}.pth", state) for i, state in enumerate(states)]
    assert main([*files[::order], str(tmp_path / "out")]) == 0
    checkpoint, z, images = load_checkpoint(tmp_path / "out"), torch.randn(2, 7, 1, 1), torch.randn(2, 3, 64, 64)
    assert torch.allclose(checkpoint.generator(z), nets[0].main(z), atol=1e-2)  # saved in fp16
    logits = checkpoint.discriminator(images)
    assert torch.allclose(logits.sigmoid(), nets[1].main(images).flatten(), atol=1e-2)
    assert (checkpoint.snapshots, checkpoint.history) == ([], [])


def test_the_demo_opens_a_generator_alone_and_claims_nothing_of_its_training(nets, tmp_path):
    assert main([saved(tmp_path, "netG.pth", nets[0].state_dict()), str(tmp_path / "out")]) == 0
    checkpoint = Checkpoints(tmp_path / "out").get("")
    assert "Nothing is known of its training" in about(checkpoint)
    assert replay(checkpoint)["frames"] == []


@pytest.mark.parametrize("convert", [lambda value: value.half(), lambda value: value.double()])
def test_a_generator_alone_of_another_precision_and_an_old_release_is_a_checkpoint(nets, tmp_path, convert):
    state = nets[0].state_dict()
    old = {name: convert(value) for name, value in state.items() if "num_batches" not in name}
    assert main([saved(tmp_path, "netG.pth", old), str(tmp_path / "out")]) == 0
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.generator(torch.zeros(1, 7, 1, 1)).shape == (1, 3, 64, 64)
    with pytest.raises(CheckpointError, match="missing"):
        _ = checkpoint.discriminator


def nan(state: dict) -> dict:
    return {name: value * float("nan") if value.is_floating_point() else value for name, value in state.items()}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda g, d: g, "state_dict()"),  # a pickle of the network itself
        (lambda g, d: {"epoch": 5, "netG": g.state_dict()}, "epoch, netG"),
        (lambda g, d: torch.optim.Adam(g.parameters()).state_dict(), "param_groups"),
        (lambda g, d: [1.0], "list"),
        (lambda g, d: {}, "nothing"),
        (lambda g, d: d.state_dict(), "generator's"),
        (lambda g, d: nn.Linear(2, 2).state_dict(), "generator's"),
        (lambda g, d: {**g.state_dict(), "main.99.weight": torch.zeros(3)}, "main.99.weight"),
        (lambda g, d: dict(list(g.state_dict().items())[:-1]), "nc must be"),
        (lambda g, d: {**g.state_dict(), "main.3.weight": torch.zeros(9, 9, 4, 4)}, "main.3.weight"),
        (lambda g, d: nan(g.state_dict()), "not finite"),
    ],
)
def test_what_is_no_generators_state_dict_is_one_line_and_nothing_is_made(nets, tmp_path, refusal, content, said):
    assert said in refusal("import", saved(tmp_path, "net.pth", content(*nets)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 cut", b"\x80\x02cos\nsystem\n(S'false'\ntR."])
def test_a_file_that_is_none_of_torchs_is_one_line_and_nothing_in_it_runs(tmp_path, refusal, content):
    (tmp_path / "net.pth").write_bytes(content)
    assert "net.pth" in refusal("import", tmp_path / "net.pth", tmp_path / "out")


def test_files_that_do_not_belong_together_are_one_line_and_none_is_overwritten(nets, tmp_path, refusal):
    generator = saved(tmp_path, "netG.pth", nets[0].state_dict())
    grey = saved(tmp_path, "netD.pth", tutorial_nets(1, 7, 4, 5)[1].state_dict())
    before = Path(generator).read_bytes()
    assert "netD.pth" in refusal("import", generator, grey, tmp_path / "out")
    assert "generator's" in refusal("import", generator, generator, tmp_path / "out")
    assert "new folder" in refusal("import", generator, generator)  # the folder was forgotten
    assert Path(generator).read_bytes() == before
