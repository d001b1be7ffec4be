"""One run from its source file to counts that close."""
