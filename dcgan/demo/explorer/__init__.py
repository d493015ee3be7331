"""The page's own scripts, styles and translations: this folder."""

from collections.abc import Iterable
from pathlib import Path

EXPLORER = Path(__file__).parent


def source(name: str) -> str:
    """A script or style."""
    return (EXPLORER / name).read_text(encoding="utf-8")


def bundle(scripts: Iterable[str]) -> str:
    """Scripts in one, with the translations that they take."""
    return "\n".join([f"const KOREAN = {source('ko.json')};", *map(source, scripts)])
