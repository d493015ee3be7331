"""A model card in Korean, as both pages show it."""

import json
import re

from dcgan.demo.explorer import EXPLORER

KOREAN_CARD = json.loads((EXPLORER / "ko_card.json").read_text(encoding="utf-8"))  # phrases with {gaps}


def in_korean(card: str) -> str:
    """A model card with the phrases that all cards share in Korean."""
    for english, korean in KOREAN_CARD.items():
        phrase = re.escape(english).replace(r"\ ", r"\s+")  # lines are broken anywhere
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[\\d,]+)", phrase)
        card = re.sub(pattern, re.sub(r"\{(\w+)\}", r"\\g<\1>", korean), card)
    return card
