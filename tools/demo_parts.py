"""What tools/demo.py is told with: processes, namespaces, the load and the metric stream."""
import calendar
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time


NETNS_FOLDER = "/run/netns"
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def boottime_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def percentile(values, percent):
    """Nearest rank; None when there is nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def patiently(look, seconds=30):
    """What look() gives, once that is something: a busy machine may need a while."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)


class Failure(Exception):
    """One sentence for the user."""


class Ended(Exception):
    """By a signal."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def ignore_ending_signals():
    """Whoever presses Ctrl-C twice wants a clean machine too."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def raise_ended_on_signals():
    """Once: while it is cleaned up, further ones are ignored."""
    def end_in_order(number, _):
        ignore_ending_signals()
        raise Ended(number)

    for number in ENDING_SIGNALS:
        # Under nohup the demo goes on when the terminal is closed.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end_in_order)


def free_ports(count):
    """Loopback ports on which nobody listens, below those that the kernel gives to outgoing connections."""
    ports = set()
    while len(ports) < count:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.add(port)
    return list(ports)


class Processes:
    """Everything started here, ended in reverse order, by pid."""

    def __init__(self, directory):
        self.directory = directory
        self.started = []

    def start(self, name, command, netns=None):
        if netns:
            command = ["ip", "netns", "exec", netns] + command
        log_path = os.path.join(self.directory, name + ".log")
        log = open(log_path, "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        log.close()
        process.name, process.log_path = name, log_path
        self.started.append(process)
        return process

    def stop_all(self):
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class Network:
    """Two namespaces joined by a veth pair; the server's addresses are SERVER and its port's."""

    SERVER, CLIENT = "10.207.0.2", "10.207.0.1"

    def __init__(self):
        self.server_ns = f"fl-demo-srv-{os.getpid()}"
        self.client_ns = f"fl-demo-cli-{os.getpid()}"
        # The first `ip netns add` on a machine mounts it, and leaves it so.
        self.folder_was_mounted = os.path.ismount(NETNS_FOLDER)

    def make(self):
        def ip(*arguments):
            subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)

        try:
            ip("netns", "add", self.server_ns)
            ip("netns", "add", self.client_ns)
            ip("-n", self.server_ns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
               "netns", self.client_ns)
            for ns, address in ((self.server_ns, self.SERVER), (self.client_ns, self.CLIENT)):
                ip("-n", ns, "addr", "add", address + "/24", "dev", "eth0")
                ip("-n", ns, "link", "set", "lo", "up")
                ip("-n", ns, "link", "set", "eth0", "up")
        except subprocess.CalledProcessError as error:
            raise Failure(f"making a network namespace failed: {error.stderr.strip()}") from error

    def remove(self):
        for ns in (self.server_ns, self.client_ns):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True, check=False)
        if not self.folder_was_mounted and os.path.ismount(NETNS_FOLDER) and \
                not os.listdir(NETNS_FOLDER):
            subprocess.run(["umount", NETNS_FOLDER], check=False)


def unix_ns(timestamp):
    """Of a timestamp as proto JSON has it: "2026-01-31T12:00:00.123456789Z"."""
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


class MetricStream:
    """`faultline metrics --json` in a thread: every update with the moment it arrived."""

    def __init__(self, cli, arguments):
        self.updates = []
        self.process = subprocess.Popen(cli + ["metrics", "--json", "--histogram"] + arguments,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.updates.append((boottime_ns(), json.loads(line)))

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.thread.join(timeout=5)

    def between(self, begin_ns, end_ns):
        return [(at, update) for at, update in self.updates if begin_ns <= at <= end_ns]

    def longest_gap_ms(self):
        times = [at for at, _ in self.updates]
        return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e6


def kernel_percentile_ms(updates, percent):
    """From the merged histogram buckets of the updates (layout: src/base/log_linear.h)."""
    buckets = {}
    for _, update in updates:
        histogram = update.get("latency", {})
        for index, count in zip(histogram.get("index", []), histogram.get("count", [])):
            buckets[index] = buckets.get(index, 0) + int(count)
    total = sum(buckets.values())
    if not total:
        return None
    rank, seen = -(-total * percent // 100), 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= rank:
            octave = index // 64 + 10
            width = 2.0 ** (octave - 6)
            return (2.0 ** octave + (index % 64 + 0.5) * width) / 1e6
    return None


class Load:
    """A load script of this folder inside the client's namespace, and what it wrote."""

    def __init__(self, demo, name, script, *arguments):
        self.path = os.path.join(demo.directory, name + ".txt")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), script)
        demo.processes.start(name, [sys.executable, script, Network.SERVER,
                                    *map(str, arguments), self.path], demo.network.client_ns)

    def wait_until_it_runs(self):
        if not patiently(lambda: os.path.exists(self.path) and os.path.getsize(self.path), 60):
            raise Failure(f"the load that writes {self.path} does not begin")

    def requests(self, begin_ns, end_ns):
        """(sent_ns, latency_ms) of requests sent in the interval, in order of sending."""
        rows = []
        with open(self.path, encoding="ascii") as lines:
            for line in lines:
                fields = line.split()
                if line.endswith("\n") and len(fields) == 2 and begin_ns <= int(fields[0]) <= end_ns:
                    rows.append((int(fields[0]), int(fields[1]) / 1e6))
        return sorted(rows)

    def latencies_ms(self, begin_ns, end_ns):
        return [latency for _, latency in self.requests(begin_ns, end_ns)]


def unless_slow_at_last(requests, slow_ms):
    """The requests, or nothing: what is slow at the end has not healed, as far as they tell."""
    return requests if requests and requests[-1][1] <= slow_ms else []


def heal_ms(requests, killed_ns, slow_ms):
    """From the kill to the answer of the first fresh request from which on none is slow."""
    slow = [i for i, (_, latency) in enumerate(requests) if latency > slow_ms]
    healed = slow[-1] + 1 if slow else 0
    if healed >= len(requests):
        raise Failure("traffic did not heal after the agent was killed")
    sent_ns, latency_ms = requests[healed]
    return round((sent_ns - killed_ns) / 1e6 + latency_ms, 2)


def print_table(rows, figures):
    head = ("phase", "requests", "client p50", "client p99", "kernel p50", "kernel p99")
    print(f"\n{head[0]:<14} {head[1]:>9} {head[2]:>11} {head[3]:>11} {head[4]:>11} {head[5]:>11}")
    for row in rows:
        times = " ".join(f"{row[key]:>8.2f} ms" for key in (
            "client_p50_ms", "client_p99_ms", "kernel_p50_ms", "kernel_p99_ms"))
        print(f"{row['phase']:<14} {row['requests']:>9} {times}")
    print()
    for name in ("added_delay_median_error_us", "start_to_kernel_ms", "leader_kill_gap_ms",
                 "agent_kill_heal_ms", "agent_kill_longest_stall_ms", "unmatched_p50_ms_during"):
        print(f"{name:<28} {figures[name]}")
    sys.stdout.flush()
