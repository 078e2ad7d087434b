"""Costs of networks: counts against published ones, and how well two measurements of a latency agree."""
