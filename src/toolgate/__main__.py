"""`python -m toolgate` is the command `toolgate`."""

import sys

from toolgate.cli import main

sys.exit(main())
