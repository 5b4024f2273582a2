"""The capturing process and what keeps it alive."""
