"""The earlier spelling `python -m dcgan.hub COMMAND` of `python -m dcgan COMMAND`."""

import sys

from dcgan.__main__ import main
from dcgan.cli import safe_output

if __name__ == "__main__":
    with safe_output():
        print(f"python -m dcgan.hub is now: python -m dcgan {' '.join(sys.argv[1:2])}", file=sys.stderr)
    sys.exit(main())
