"""Surrogates: models of the objectives that strategies and the proxy layer fit."""
