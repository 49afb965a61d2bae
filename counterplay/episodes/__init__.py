"""Episodes as data."""
