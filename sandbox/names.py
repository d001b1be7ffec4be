"""Names that several parts of the sandbox share."""

APP_NAME = "Quality Governance Platform (sandbox)"
ADMIN_PREFIX = "/_sandbox"
