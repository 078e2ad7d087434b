"""A trained network made to fit bounds: cut into blocks that get cheaper alternatives, which learn from its own."""
