"""Files, memory, devices, number formats, and what every program does."""
