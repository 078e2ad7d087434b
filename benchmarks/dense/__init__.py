"""Tasks with something to predict for each pixel."""
