"""``python -m counterplay`` is ``counterplay``."""

import sys

from counterplay.cli import main

if __name__ == "__main__":
    sys.exit(main())
