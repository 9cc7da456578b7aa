"""Traffic with everything in it that a target is measured by, until it is killed.

    traffic.py serve ADDRESS PEER    in the service's namespace
    traffic.py ask   ADDRESS PEER    in its client's

Either is told its own address and the other one's.
"""

import http.client
import http.server
import socket
import struct
import sys
import threading
import time

HTTP_PORT = 9980
CLOSED_PORT = 9981  # nobody listens there, on neither side
STATUSES = {"/ok": 200, "/none": 404, "/busy": 503}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(STATUSES[self.path])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def tolerant(step):
    """Whatever becomes of it: the network is faulty on purpose."""
    try:
        step()
    except (OSError, http.client.HTTPException):
        pass


def connect(own, peer, port, patience=1):
    return socket.create_connection((peer, port), timeout=patience, source_address=(own, 0))


def get(own, peer, path):
    connection = http.client.HTTPConnection(peer, HTTP_PORT, timeout=1, source_address=(own, 0))
    connection.request("GET", path)
    connection.getresponse().read()
    connection.close()


def reset(own, peer):
    with connect(own, peer, HTTP_PORT) as open_:
        open_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def pipeline(own, peer):
    """The second request before the first one's answer: neither can be measured."""
    with connect(own, peer, HTTP_PORT) as open_:
        for _ in range(2):
            open_.sendall(b"GET /ok HTTP/1.1\r\nHost: service\r\n\r\n")
            time.sleep(0.005)
        open_.recv(4096)


def drop(own, peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind((own, 0))
        datagrams.sendto(b"anybody?", (peer, CLOSED_PORT))


def accept_nothing(own, peer):
    """A SYN-ACK that no SYN asked for."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.bind((own, 0))
        raw.sendto(struct.pack("!HHIIBBHHH", HTTP_PORT, CLOSED_PORT, 0, 0, 5 << 4, 0x12, 0, 0, 0), (peer, 0))


def find_nobody(own):
    """A neighbour that is not there: the kernel gives up after some seconds."""
    connect(own, own.rsplit(".", 1)[0] + ".77", HTTP_PORT, patience=10)


def forever(*steps):
    while True:
        for step in steps:
            tolerant(step)
        time.sleep(0.05)


def serve(own, peer):
    server = http.server.ThreadingHTTPServer((own, HTTP_PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=forever, args=(lambda: find_nobody(own),), daemon=True).start()
    forever(lambda: connect(own, peer, CLOSED_PORT), lambda: accept_nothing(own, peer))


def ask(own, peer):
    requests = [lambda path=path: get(own, peer, path) for path in STATUSES]
    forever(
        *requests,
        lambda: connect(own, peer, CLOSED_PORT),
        lambda: reset(own, peer),
        lambda: pipeline(own, peer),
        lambda: drop(own, peer),
    )


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2], sys.argv[3])
