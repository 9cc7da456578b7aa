#!/usr/bin/env python3
"""A small closed-loop redis client: CONNECTIONS connections, each sends a GET, waits for the answer,
pauses, and goes on. Every finished request is one line "sent_ns latency_ns" (CLOCK_BOOTTIME and
nanoseconds) in the file OUT. A broken connection is opened again. Ends on SIGTERM.

usage: redis_load.py HOST PORT CONNECTIONS PAUSE_MS OUT
"""
import selectors
import signal
import socket
import sys
import time

REQUEST = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
ANSWER = b"$-1\r\n"


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Connection:
    def __init__(self, address):
        self.address = address
        self.socket = None
        self.sent_ns = 0
        self.next_ns = now_ns()
        self.received = b""

    def open(self):
        self.socket = socket.create_connection(self.address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.sent_ns, self.received = None, 0, b""


def main():
    host, port, count, pause_ms, out_path = sys.argv[1:]
    pause_ns = int(float(pause_ms) * 1e6)
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.__setitem__(0, False))
    selector = selectors.DefaultSelector()
    connections = [Connection((host, int(port))) for _ in range(int(count))]
    for i, connection in enumerate(connections):
        connection.next_ns += i * pause_ns // len(connections)  # spread over the pause
    with open(out_path, "w", buffering=1 << 12) as out:
        flushed_ns = now_ns()
        while running[0]:
            now = now_ns()
            for connection in connections:
                if connection.sent_ns or connection.next_ns > now:
                    continue
                try:
                    if connection.socket is None:
                        connection.open()
                        selector.register(connection.socket, selectors.EVENT_READ, connection)
                    connection.sent_ns = now_ns()
                    connection.socket.send(REQUEST)
                except OSError:
                    if connection.socket is not None:
                        selector.unregister(connection.socket)
                    connection.close()
                    connection.next_ns = now_ns() + 10_000_000
            due = min((c.next_ns for c in connections if not c.sent_ns), default=now + 50_000_000)
            for key, _ in selector.select(max(0.0, min(due - now_ns(), 50_000_000) / 1e9)):
                connection = key.data
                try:
                    data = connection.socket.recv(4096)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                end = now_ns()
                connection.received += data
                if not data:
                    selector.unregister(connection.socket)
                    connection.close()
                    connection.next_ns = end + 10_000_000
                elif connection.received.endswith(ANSWER):
                    out.write(f"{connection.sent_ns} {end - connection.sent_ns}\n")
                    connection.received, connection.sent_ns = b"", 0
                    connection.next_ns = end + pause_ns
            if now_ns() - flushed_ns > 50_000_000:
                out.flush()
                flushed_ns = now_ns()


if __name__ == "__main__":
    main()
