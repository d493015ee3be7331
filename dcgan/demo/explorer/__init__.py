"""The page's own components: JavaScript modules, styles and translations, for the demo and the static page alike."""

from pathlib import Path

EXPLORER = Path(__file__).parent
