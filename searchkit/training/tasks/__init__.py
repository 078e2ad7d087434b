"""What each task has of its own: the shape of outputs, the loss that networks learn by, and the scores."""
