"""How long something may take, all of its steps together."""
import time


class Deadline:
    def __init__(self, seconds):
        self.began = time.monotonic()
        self.end = self.began + seconds

    def left(self):
        """Seconds, never less than none."""
        return max(0.0, self.end - time.monotonic())

    def passed(self):
        """Seconds since it was set."""
        return time.monotonic() - self.began

    def part(self, seconds):
        """A deadline of its own for a step: so many seconds, or what is left when that is less."""
        return Deadline(min(seconds, self.left()))

    def shorten(self, seconds):
        self.end = min(self.end, time.monotonic() + seconds)
