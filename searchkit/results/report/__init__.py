"""Report: a page of a study."""
