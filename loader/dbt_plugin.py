"""The dbt-duckdb plugin of profiles.yml: what holds for our own connections to the database holds for dbt's too."""

import atexit
import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from loader.config import ROOT, named_path
from loader.errors import Refused
from loader.storage.files import private_umask, tighten, tighten_database
from loader.storage.undo import roll_back
from loader.storage.warehouse import LEAVE_THE_LOG, MEMORY_LIMIT, take_in_log


class Plugin(BasePlugin):
    """Named so by dbt-duckdb. It acts just before and after dbt opens the database, and when dbt's process ends."""

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Find the file from the project's folder, limit DuckDB's memory, and keep private what may quote cells.

        Raises:
            DbtRuntimeError: the path is a link to a file of another name. DuckDB names the catalogue after that file,
                dbt after the link, and nobody could read the views; or its name cannot be one, as `named_path` says.

        """
        config["memory_limit"] = MEMORY_LIMIT
        private_umask()
        try:
            database = named_path(creds.path)
        except Refused as refusal:
            raise DbtRuntimeError(str(refusal)) from refusal
        creds.path, file = str(database), Path(os.path.realpath(database))
        if database.name != file.name:
            raise DbtRuntimeError(f"{database} is a link; name the file: export ETL_DATABASE={file}")
        database.parent.mkdir(parents=True, exist_ok=True)
        self._database = database
        tighten_database(database)
        roll_back(database)
        for folder in ("logs", "target"):
            tighten(ROOT / folder)

    def configure_connection(self, conn: Any) -> None:
        """Leave the log of the whole build for one checkpoint at the end, before which is kept what a kill would harm.

        A process that ends without it, as by a kill, leaves the log beside the database, to be read by the next one.
        """
        conn.execute(LEAVE_THE_LOG)
        atexit.register(take_in_log, conn, self._database)
