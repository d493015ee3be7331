"""Put a checkpoint on the Hugging Face Hub: `python -m dcgan push RUN OWNER/NAME`.

Log in once with `hf auth login`, or set HF_TOKEN to a token that may write.
"""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.utils import logging

from dcgan.checkpoint import CARD, FILES, checkpoint_files, load_checkpoint
from dcgan.cli import guarded, user_source
from dcgan.hub.card import complete_card
from dcgan.hub.command import repo_id, temporary_folder
from dcgan.hub.pull import local_folder
from dcgan.hub_errors import HUB_ERRORS, HubError, error_message, http_status


def push(run: str, repo: str, private: bool = False, license: str | None = None) -> str:
    """Upload the checkpoint of a run to the model `owner/name` in one commit and return its address.

    The card is completed in the upload; the local folder stays as it is. Files of an earlier push that this checkpoint
    lacks are deleted. Raises CheckpointError or HubError.
    """
    checkpoint = load_checkpoint(local_folder(run))
    with temporary_folder() as folder:
        copy_checkpoint(checkpoint.folder, folder)
        (folder / CARD).write_text(complete_card(checkpoint, repo, license), encoding="utf-8")
        return upload(folder, repo, f"{checkpoint.images_seen:,} images seen", FILES, private=private)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the files of a checkpoint, and nothing else that lies in its folder.

    Raises CheckpointError if one of them is a link that leaves the folder.
    """
    for path in checkpoint_files(source):
        copy = target / path.relative_to(source.resolve())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def upload(folder: Path, repo: str, message: str, patterns: Iterable[str], **options: Any) -> str:
    """Upload a folder in one commit, all of it or nothing, and return the repository's address.

    patterns: files of the repository that are deleted if the folder lacks them. options: as `HfApi.create_repo` takes
    them: private, and of a Space space_sdk and space_hardware, which a Space that is there gets, too. Raises HubError.
    """
    kind = "space" if "space_sdk" in options else "model"
    logging.set_verbosity_error()  # the library would report an error at length
    api = HfApi(token=True)  # the token of the user who is logged in, also where reading needs none
    try:
        url = api.create_repo(repo, repo_type=kind, exist_ok=True, **options)
        if hardware := options.get("space_hardware"):
            api.request_space_hardware(repo, hardware)
        api.upload_folder(
            repo_id=repo, repo_type=kind, folder_path=folder, delete_patterns=list(patterns), commit_message=message
        )
    except HUB_ERRORS as error:
        why = error_message(error, f"{kind} of that name")
        raise HubError(f"'{repo}' was not changed: {why}", http_status(error)) from None
    return str(url)


@guarded("push")
def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dcgan push", description="Put a checkpoint on the Hub.")
    parser.add_argument("run", type=user_source, help="run folder or checkpoint folder")
    parser.add_argument("repo", type=repo_id, help="owner/name of the model on the Hub; made if it is not there")
    parser.add_argument("--private", action="store_true", help="make it private (only when it is made)")
    parser.add_argument("--license", help="licence in the card, e.g. mit or cc-by-nc-4.0 (default: the data's terms)")
    flags = parser.parse_args(argv)
    print(push(flags.run, flags.repo, flags.private, flags.license))
    return 0
