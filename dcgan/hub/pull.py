"""Open checkpoints of the Hugging Face Hub: `owner/name[@revision]` -> a folder in the Hub's own cache."""

import re
from pathlib import Path
from typing import Any, TypeVar

from dcgan.checkpoint import CONFIG, FILES, GENERATOR, CheckpointError, load_checkpoint
from dcgan.model import Discriminator, Generator

Net = TypeVar("Net", Generator, Discriminator)

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@\w[\w./-]*)?", re.ASCII)  # owner/name[@revision]


def from_pretrained(kind: type[Net], source: str | Path, **options: Any) -> Net:
    """Return the generator or the discriminator of a checkpoint: `from_pretrained(Generator, "owner/name@revision")`.

    source: a checkpoint folder, a run, or owner/name[@revision] on the Hub. options: as `local_folder` takes
    them. Raises CheckpointError with a one-line message.
    """
    checkpoint = load_checkpoint(local_folder(source, **options))
    net: Any = checkpoint.generator if issubclass(kind, Generator) else checkpoint.discriminator
    return net


def local_folder(source: str | Path, **options: Any) -> Path:
    """Return `source` as a path; where nothing is there and it reads `owner/name[@revision]`, the folder of that model.

    A model is downloaded unless it is in the Hub's cache; without a network the cached folder is returned. options: as
    huggingface_hub.snapshot_download takes them (revision, token, cache_dir, local_files_only). Raises CheckpointError
    with a one-line message.
    """
    path = Path(source)
    if path.exists() or not HUB_ID.fullmatch(path.as_posix()):
        return path
    from huggingface_hub import snapshot_download  # a quarter of a second that local folders do not wait

    from dcgan.hub_errors import HUB_ERRORS, error_message, is_unreachable

    repo, _, revision = path.as_posix().partition("@")
    try:
        options = {"revision": revision or None, "allow_patterns": list(FILES), **options}
        try:
            folder = snapshot_download(repo, **options)
        except HUB_ERRORS as error:
            if not is_unreachable(error):
                raise
            folder = snapshot_download(repo, **{**options, "local_files_only": True})
    except HUB_ERRORS as error:
        why = error_message(error, "model of that name")
        raise CheckpointError(f"no checkpoint at '{path}': there is no such folder here, and {why}") from None
    if missing := [name for name in (CONFIG, GENERATOR) if not Path(folder, name).is_file()]:
        raise CheckpointError(
            f"'{path}' on the Hub is no checkpoint of this program: it has no {' and no '.join(missing)}; pickles are "
            "never read"
        )
    return Path(folder)
