"""What a run leaves for people and programs: JSON, CSV, summary, status, HTML page, and what to do next."""
