"""The network that a time buys: searchkit with a budget in seconds beside what a user would have had without it."""
