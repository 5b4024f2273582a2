"""Labels for whole recordings: from files to events that are written down.

`scoring` turns recordings into the scores of their windows, `events` those into events, `formats`
events into text. `journal` remembers what is done, so that a run that was killed goes on, and
`results` puts everything where the user wants it. Only `scoring` needs TensorFlow.
"""
