"""Sentences for visitors that pages translate: English texts with {gaps}, and the values of the gaps."""

from typing import Any

Sentences = list[tuple[str, dict[str, Any]]]


def spelled(sentences: Sentences) -> str:
    """The sentences in English, their gaps filled."""
    return " ".join(text.format(**{gap: _rounded(value) for gap, value in gaps.items()}) for text, gaps in sentences)


def _rounded(value: Any) -> str:
    if not isinstance(value, int):
        return str(value)
    return f"{value / 1e6:.1f} million" if value >= 1e6 else f"{value:,}"
