"""``python -m sessionstore_sql``, which is ``sessionstore-sql``."""

from __future__ import annotations

import sys

from sessionstore_sql.cli import main

sys.exit(main())
