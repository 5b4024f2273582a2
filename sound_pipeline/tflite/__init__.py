"""The model for small devices."""
