"""The page's own components: JavaScript modules, styles and translations, for the demo and for the static page alike.

EXPLORER is the folder they lie in; `files.write_page` copies what a page needs of it.
"""

from pathlib import Path

EXPLORER = Path(__file__).parent
