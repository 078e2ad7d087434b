"""searchkit as tools for assistants: a server of the Model Context Protocol, on standard input and output.

``python -m searchkit.integrations.mcp`` or ``searchkit mcp`` starts it. It needs the package mcp,
``pip install "searchkit-nas[mcp]"``.

What reads is done in the server's process (``reading.py``, ``describing.py``); what trains, scores or writes has a
process of its own for each call (``working.py``, ``writing.py``; ``jobs.py`` begins it and ``worker.py`` is its main
program), so that a crash ends the call and not the server. ``tools.py`` has the table of both; ``inputs.py`` and
``outputs.py`` have their schemas.
"""
