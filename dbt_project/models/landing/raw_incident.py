"""One row per record of the source file, every cell as text, nothing changed and nothing lost."""

from loader.landing.land import land


def model(dbt, session):
    """Return the relation that `loader.landing.land.land` read from `ETL_SOURCE`, by default the golden sample."""
    dbt.config(materialized="table")
    return land(session, dbt.ref("dim_payload_fields"), str(dbt.this.identifier))


def lineage(dbt):
    """Name the file for dbt's lineage; never called, because DuckDB would guess what `land` reads strictly."""
    return dbt.source("files", "incident_csv")
