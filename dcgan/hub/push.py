"""Put a checkpoint on the Hugging Face Hub: `python -m dcgan push RUN OWNER/NAME`.

Log in once with `hf auth login`, or set HF_TOKEN to a token that may write.
"""

import argparse

from dcgan.checkpoint import CARD, FILES, load_checkpoint
from dcgan.cli import guarded, user_source
from dcgan.hub.card import complete_card
from dcgan.hub.command import copy_checkpoint, repo_id, temporary_folder, upload
from dcgan.hub.pull import local_folder


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
