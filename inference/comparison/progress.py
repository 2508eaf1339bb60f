"""One progress bar for work whose pieces differ a thousandfold: it counts seconds expected, not pieces done."""

from collections.abc import Callable

from data.errors import printable
from data.terminal import progress_bar

BAR = "{desc} {percentage:3.0f} % |{bar}| {elapsed} passed, {remaining} left"


class Meter:
    """A bar on a terminal's stderr, and nothing where stderr is no terminal."""

    def __init__(self, seconds: float) -> None:
        """Start a bar for work that is expected to take `seconds`; the time left is corrected as work goes on."""
        self._bar = progress_bar(total=seconds, bar_format=BAR, smoothing=0, leave=False)

    def stage(self, name: str) -> None:
        """Say what is being done."""
        self._bar.set_description(printable(name))

    def advance(self, seconds: float) -> None:
        """Count work that was expected to take `seconds`; never beyond the end."""
        self._bar.update(min(seconds, self._bar.total - self._bar.n) if self._bar.total else 0)

    def counter(self, seconds_each: float) -> Callable[[int], None]:
        """Return a function that counts so many pieces of `seconds_each`."""
        return lambda pieces: self.advance(pieces * seconds_each)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
