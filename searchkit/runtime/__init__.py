"""Runtime: the process, its threads, and the devices it computes on."""
