"""Labels comparable within groups only, a ladder's second chance, and what options mean in every space."""
