"""A web page over the engine: photo, webcam, folder, comparison, training, in English and Chinese."""

import os

# Gradio reads these when it is imported, so they are set before any module here can do so. Without them every call
# rebuilds a table of all calls so far (slower and larger by the hour), and start-up looks for hosts on the internet.
for _name, _value in {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "100",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}.items():
    os.environ[_name] = _value
