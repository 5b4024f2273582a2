"""Model for small devices."""
