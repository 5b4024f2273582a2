"""Changed copies of recordings to train on."""
