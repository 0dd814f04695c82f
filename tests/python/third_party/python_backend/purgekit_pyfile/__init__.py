"""SQLite files through Python's own driver, under the scheme ``pyfile``."""

import sqlite3

from purgekit import DbapiBackend

backend = DbapiBackend(sqlite3, name="pyfile", schemes=["pyfile"])
