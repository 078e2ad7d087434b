"""What searchkit itself costs, beside the evaluations."""
