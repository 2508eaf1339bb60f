"""A web page over the engine: photo, webcam, folder, comparison, training, in English and Chinese."""

import os

import data  # noqa: F401  # Switches off what Gradio would report, before it is imported.

# Gradio reads these when it is imported. Without them every call rebuilds a table of all calls so far, slower and
# larger by the hour.
for _name, _value in {
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "100",
}.items():
    os.environ[_name] = _value
