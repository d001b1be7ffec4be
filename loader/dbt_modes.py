"""The dbt-duckdb plugin of profiles.yml: a plain `dbt build` creates its database for its owner alone too."""

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from loader.config import ROOT
from loader.modes import private_umask, tighten, tighten_database


class Plugin(BasePlugin):
    """Named so by dbt-duckdb. It acts just before dbt opens the database."""

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:  # noqa: ARG002 - dbt-duckdb's own
        """Set the umask; tighten the database, and the project's logs and compiled queries, which may quote cells."""
        private_umask()
        database = Path(creds.path)
        database.parent.mkdir(parents=True, exist_ok=True)
        tighten_database(database)
        for folder in ("logs", "target"):
            tighten(ROOT / folder)
