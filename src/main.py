"""`python src/main.py --dataset ...` is `hret port --dataset ...`."""

import sys

from hret.cli import main

sys.exit(main(["port", *sys.argv[1:]]))
