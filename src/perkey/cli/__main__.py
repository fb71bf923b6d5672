"""``python -m perkey.cli`` is the program `perkey`."""

import sys

from perkey.cli import main

sys.exit(main())
