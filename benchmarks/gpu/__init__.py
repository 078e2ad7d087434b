"""searchkit on a GPU beside a plain training loop."""
