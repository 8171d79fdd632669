"""`python -m hret`."""

import sys

from hret.cli import main

sys.exit(main())
