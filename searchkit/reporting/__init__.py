"""The parts of a report's page; :mod:`searchkit.report` puts them together."""
