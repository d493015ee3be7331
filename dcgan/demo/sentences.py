"""What there is to say to visitors, whatever their language: texts with {gaps}, and what stands in these."""

from typing import Any

Sentences = list[tuple[str, dict[str, Any]]]


def spelled(sentences: Sentences) -> str:
    """The same in English."""
    return " ".join(text.format(**{gap: _rounded(value) for gap, value in gaps.items()}) for text, gaps in sentences)


def _rounded(value: Any) -> str:
    if not isinstance(value, int):
        return str(value)
    return f"{value / 1e6:.1f} million" if value >= 1e6 else f"{value:,}"
