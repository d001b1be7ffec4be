"""Names that several parts of the sandbox share."""

APP_NAME = "Quality Governance Platform (sandbox)"
INCIDENTS_PATH = "/api/v1/incidents/"
ADMIN_PREFIX = "/_sandbox"
