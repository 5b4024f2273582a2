"""The whole path as one module: exported, and loaded again."""
