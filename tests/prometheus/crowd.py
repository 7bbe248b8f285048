#!/usr/bin/env python3
"""Clients that a server meets besides good ones: wrong, refused, greedy, slow. They come again and again.

    python3 crowd.py HOST:PORT

Standard library only; run.py starts and ends it.
"""

import base64
import itertools
import json
import os
import socket
import sys
import time

STREAMS = [f"{symbol}@{stream}" for symbol in ("btcusdt", "ethusdt", "bnbusdt", "solusdt", "xrpusdt") for stream in ("trade", "depth@100ms", "bookTicker", "aggTrade")]
TIMEOUT_S = 10
# So many read nothing; a new one comes with every fourth visit, in place of the oldest.
SLOW = 16


def connect(address, receive_bytes=None):
    host, _, port = address.rpartition(":")
    made = socket.socket()
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.settimeout(TIMEOUT_S)
    made.connect((host, int(port)))
    return made


def http(address, target, *headers):
    """One request; the answer's beginning, and the socket if it was upgraded."""
    made = connect(address)
    made.sendall("\r\n".join([f"GET {target} HTTP/1.1", f"Host: {address}", *headers, "", ""]).encode())
    return made, made.recv(65536)


def upgrade(address, target, receive_bytes=None):
    made = connect(address, receive_bytes)
    key = base64.b64encode(os.urandom(16)).decode()
    head = [f"GET {target} HTTP/1.1", f"Host: {address}", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    made.sendall("\r\n".join(head).encode())
    got = b""
    while b"\r\n\r\n" not in got:
        more = made.recv(1)
        if not more:
            break
        got += more
    return made


def frame(payload, kind=1):
    """A masked frame; the mask is zero, which is a mask like any other."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + length.to_bytes(2, "big")
    return bytes([0x80 | kind]) + size + b"\0\0\0\0" + payload


def subscribe(streams, number=1):
    return frame(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": number}).encode())


def visit(address):
    """One of each; ends of connections are part of it."""
    for target in ("/api/v3/depth?symbol=BTCUSDT&limit=100", "/api/v3/depth?symbol=NOSUCH", "/api/v3/nothing", "/api/v3/klines?symbol=BTCUSDT&interval=1m"):
        http(address, target, "Connection: close")[0].close()
    # Not a path of ours; no WebSocket at all.
    upgrade(address, "/nowhere").close()
    junk = connect(address)
    junk.sendall(b"\x16\x03\x01\x00\x00\x00\r\n\r\n")
    junk.close()
    # Closed by the server: words that are no request, binary, too many streams, too many messages, a broken frame.
    for words in (frame(b"hello"), frame(b"\0", 2), subscribe([f"x{number}@trade" for number in range(80)]), frame(b'{"method":"LIST_SUBSCRIPTIONS","id":1}') * 30, b"\xff\xff"):
        closed = upgrade(address, "/ws/btcusdt@trade")
        try:
            closed.sendall(words)
            closed.recv(4096)
        except OSError:
            pass
        closed.close()
    # Closed by the client.
    good = upgrade(address, "/ws/btcusdt@bookTicker")
    good.sendall(frame((1000).to_bytes(2, "big"), 8))
    good.close()
    asking = upgrade(address, "/ws-api/v3")
    for text in ('{"id":1,"method":"ping"}', '{"id":2,"method":"depth","params":{"symbol":"BTCUSDT"}}', '{"id":3,"method":"nothing"}', "{"):
        asking.sendall(frame(text.encode()))
        asking.recv(65536)
    return asking


def main():
    address = sys.argv[1]
    slow = []
    asking = None
    for number in itertools.count():
        try:
            if len(slow) == SLOW and number % 4 == 0:
                slow.pop(0).close()
            if number % 4 == 0:
                slow.append(upgrade(address, "/ws/" + "/".join(STREAMS), 4096))
            previous, asking = asking, visit(address)
            if previous:
                previous.close()
        except OSError as error:
            # The server may throw anybody out; run.py looks whether it lives.
            print(error, file=sys.stderr)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
