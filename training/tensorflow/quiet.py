"""Imports TensorFlow without the page about this machine that it writes to stderr at every start.

Others take `tf` from here. `TF_CPP_MIN_LOG_LEVEL` has no hold on what the libraries say while they are loaded and look
for a GPU (TensorFlow 2.21), so stderr is withheld for that long; if loading fails, it is written after all.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["tf"]

STDERR = 2


@contextmanager
def _withheld_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as withheld:
        os.dup2(withheld.fileno(), STDERR)
        try:
            yield
        except BaseException:
            withheld.seek(0)
            os.write(kept, withheld.read())
            raise
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _withheld_stderr():
    import tensorflow as tf

    tf.config.list_physical_devices()
