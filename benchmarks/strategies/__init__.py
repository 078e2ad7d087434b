"""Searches: strategies beside their peers, the search without arguments, the fidelity ladder, other libraries."""
