"""Films, streams and cameras: decoded within limits, their faces followed from moment to moment, kept as a timeline."""

EVERY = 0.2  # Seconds between two moments, unless somebody says otherwise.
EVERY_FRAME = 0.0  # In place of seconds: every frame is a moment.
