"""The dbt-duckdb plugin of profiles.yml: what holds for our own connections to the database holds for dbt's too."""

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from loader.config import ROOT
from loader.storage.files import private_umask, tighten, tighten_database
from loader.storage.warehouse import MEMORY_LIMIT


class Plugin(BasePlugin):
    """Named so by dbt-duckdb. It acts just before dbt opens the database."""

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Find the file from the project's folder, limit DuckDB's memory, and keep private what may quote cells.

        Raises:
            DbtRuntimeError: the path is a link to a file of another name. DuckDB names the catalogue after that file,
                dbt after the link, and nobody could read the views.

        """
        config["memory_limit"] = MEMORY_LIMIT
        private_umask()
        database = ROOT / creds.path
        creds.path, file = str(database), Path(os.path.realpath(database))
        if database.name != file.name:
            raise DbtRuntimeError(f"{database} is a link; name the file: export ETL_DATABASE={file}")
        database.parent.mkdir(parents=True, exist_ok=True)
        tighten_database(database)
        for folder in ("logs", "target"):
            tighten(ROOT / folder)
