"""Network spaces that build torch modules, one space a file."""
