"""A trained network cut into blocks, and made smaller."""
