"""The model card as the Hugging Face Hub reads it: metadata that the author of a checkpoint left out."""

import math
import re
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import EvalResult, ModelCard, RepoCard

from dcgan.checkpoint import CARD, Checkpoint
from dcgan.errors import reason
from dcgan.hub_errors import HubError

TASK = "unconditional-image-generation"

Card = TypeVar("Card", bound=RepoCard)


def parsed_card(kind: type[Card], text: str, file: Path) -> Card:
    """Parse the text of a card. Raises HubError, which names `file`, if the Hub would not read its front matter."""
    try:
        return kind(text)
    except Exception as error:  # whatever odd YAML makes its parsers raise
        raise HubError(
            f"the front matter of '{file}' cannot be read ({reason(error)}): mend the lines between its two ---"
        ) from None


def complete_card(checkpoint: Checkpoint, repo: str, license: str | None = None) -> str:
    """Return the model card with library, task, tags, data set, licence and metrics filled in where they are missing.

    repo: owner/name of the model, which the card's example code will name. license: an identifier that replaces the
    card's; by default the terms of the data fill a missing one. Raises HubError.
    """
    text = checkpoint.card or f"---\n{{}}\n---\n# {checkpoint.name}\n"
    card = parsed_card(ModelCard, text, checkpoint.folder / CARD)
    card.text = card.text.replace('load_checkpoint("PATH")', f'load_checkpoint("{repo}")')
    if license or not card.data.get("license"):
        terms = license or ("" if len(checkpoint.licenses) > 1 else checkpoint.licenses[0])
        is_identifier = bool(re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", terms))
        card.data["license"] = terms if is_identifier else "other"
        card.data["license_name"] = None if is_identifier else "terms-of-the-data"
        card.data["license_link"] = None
    facts: dict[str, Any] = {
        "library_name": "dcgan",
        "pipeline_tag": TASK,
        "tags": ["dcgan", "gan", "image-generation"],
        "datasets": [data] if (data := dataset_id(checkpoint)) else None,
        **evaluation(checkpoint),
    }
    for key, value in facts.items():
        if value and not card.data.get(key):
            card.data[key] = value
    return str(card)


def evaluation(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the finite metrics of a checkpoint as metadata of a card; empty if there are none."""
    metrics = checkpoint.config.get("metrics") or {}
    finite = {name: value for name, value in metrics.items() if isinstance(value, int | float) and math.isfinite(value)}
    if not finite:
        return {}
    name = checkpoint.data.get("name") or "images"
    dataset = dataset_id(checkpoint) or name
    results = [EvalResult(TASK, dataset, name, metric, value) for metric, value in finite.items()]
    return {"model_name": checkpoint.name, "eval_results": results, "metrics": list(finite)}


def dataset_id(checkpoint: Checkpoint) -> str | None:
    """Return owner/name of the training data on the Hub; None if it is not there."""
    found = re.match(r"\w[\w.-]*/\w[\w.-]*(?=[@/]|$)", checkpoint.hub or "", re.ASCII)
    return found[0] if found else None
