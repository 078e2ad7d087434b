"""searchkit as a server of tools for assistants, by the Model Context Protocol: ``python -m searchkit.integrations.mcp``."""
