# SPDX-License-Identifier: Apache-2.0
"""`python -m tiled_se.cli` is `tiled-se`."""

import sys

from .main import main

sys.exit(main())
