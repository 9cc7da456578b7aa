#!/usr/bin/env python3
"""Fresh requests at a steady rate: every PERIOD_MS a PING goes out on a connection on which nothing is
under way, whatever became of the earlier ones. So a lost answer holds up its own connection only, until
TCP sends it again, and not the next request. Every answered request is one line "sent_ns latency_ns"
(CLOCK_BOOTTIME and nanoseconds) in the file OUT. Ends on SIGTERM.

usage: redis_probe.py HOST PORT PERIOD_MS OUT
"""
import collections
import selectors
import signal
import socket
import sys
import time

REQUEST = b"PING\r\n"
ANSWER = b"+PONG\r\n"
CONNECTIONS = 200  # more than a stall of a third of a second uses up at 2 ms


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.sent_ns = 0
        self.received = b""


def main():
    host, port, period_ms, out_path = sys.argv[1:]
    period_ns = int(float(period_ms) * 1e6)
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.__setitem__(0, False))
    selector = selectors.DefaultSelector()
    idle = collections.deque(Connection((host, int(port))) for _ in range(CONNECTIONS))
    for connection in idle:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    with open(out_path, "w", buffering=1 << 12) as out:
        next_ns = flushed_ns = now_ns()
        while running[0]:
            now = now_ns()
            if now >= next_ns and idle:
                connection = idle.popleft()  # the one that has been idle the longest
                connection.sent_ns = now_ns()
                connection.socket.send(REQUEST)
                next_ns = max(next_ns + period_ns, now)
            for key, _ in selector.select(max(0.0, next_ns - now_ns()) / 1e9 if idle else 0.05):
                connection = key.data
                data = connection.socket.recv(4096)
                end = now_ns()
                if not data:
                    sys.exit("redis has closed a connection")
                connection.received += data
                if not connection.received.endswith(ANSWER):
                    continue
                out.write(f"{connection.sent_ns} {end - connection.sent_ns}\n")
                connection.received = b""
                idle.append(connection)
            if now_ns() - flushed_ns > 50_000_000:
                out.flush()
                flushed_ns = now_ns()


if __name__ == "__main__":
    main()
