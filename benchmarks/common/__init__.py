"""What scripts of several folders use: published tables and images, correlations, a description of the machine."""
