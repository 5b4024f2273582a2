"""Sound classification as one streaming TensorFlow dataflow.

>>> from sound_pipeline import load_model
>>> model = load_model("saved_model")
>>> model.labels
('quiet', 'loud')
>>> for event in model.label("loud.wav"):
...     print(event.label, event.start_seconds, event.end_seconds)
loud 0.0 2.0
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sound_pipeline.models.model import Model

__all__ = ["__version__", "load_model"]

__version__ = "0.2.0"


def load_model(directory: str | os.PathLike[str]) -> Model:
    """Loads an exported model, and with it TensorFlow.

    Args:
      directory: what train.py wrote: OUTPUT_DIR/saved_model.

    Raises:
      UserError: the directory holds no model of this package.
    """
    # TensorFlow takes seconds to import; `import sound_pipeline` shall not.
    from sound_pipeline.models.model import Model

    return Model(Path(directory))
