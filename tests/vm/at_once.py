"""Several kernels at once, each by a process of its own: one that dies takes no other's result with it."""
import os
import pathlib
import re
import signal
import subprocess
import time

import machine


def room():
    """How many machines the host has processors and memory for; each uses one processor most of the time."""
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", pathlib.Path("/proc/meminfo").read_text(), re.M)
    return max(1, min(os.cpu_count() + 1, int(available[1]) // 1024 // machine.MEMORY_MIB))


def run(commands, most):
    """Runs {name: command}, so many at once, the rest as others end. {name: what went wrong, or ''}. None
    outlives this process; each is asked to end (SIGTERM) and may clean up."""
    waiting, running, ended = list(commands), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                name = waiting.pop(0)
                try:
                    running[name] = subprocess.Popen(commands[name], stdin=subprocess.DEVNULL,
                                                     preexec_fn=lambda: machine.end_with_parent(signal.SIGTERM))
                except OSError as error:
                    ended[name] = f"could not be started: {error}"
            for name, process in list(running.items()):
                code = process.poll()
                if code is not None:
                    del running[name]
                    ended[name] = f"ended with exit code {code}" if code > 0 else \
                        f"was killed by signal {-code}" if code < 0 else ""
            time.sleep(0.2)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return ended
