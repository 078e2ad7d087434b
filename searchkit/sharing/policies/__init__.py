"""How the paths are drawn along which shared weights are trained."""
