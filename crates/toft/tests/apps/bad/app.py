"""Misbehaves in the way that its first argument names."""

import http.server
import os
import signal
import sys
import time


def serve(host="", port=8080):
    handler = http.server.BaseHTTPRequestHandler
    handler.do_GET = answer
    handler.log_message = lambda *_: None
    http.server.ThreadingHTTPServer((host, port), handler).serve_forever()


def answer(self):
    self.send_response(200)
    self.send_header("Content-Length", "3")
    self.end_headers()
    self.wfile.write(b"bad")


def leave():
    print("there is no such setting: COLOUR", file=sys.stderr)
    sys.exit(3)


def crash():
    print("about to crash", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    print("thinking", flush=True)
    time.sleep(1000)


def late():
    time.sleep(1)
    serve()


def grow():
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


def chatter():
    line = "x" * 127 + "\n"
    for _ in range(400):
        sys.stdout.write(line * 1024)
    sys.stdout.flush()
    print("50 MiB were said", flush=True)
    serve()


def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    serve()


def orphans():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
    serve()


WAYS = {
    "leave": leave,
    "crash": crash,
    "hang": hang,
    "late": late,
    "elsewhere": lambda: serve(port=3000),
    "loopback": lambda: serve(host="127.0.0.1"),
    "grow": grow,
    "chatter": chatter,
    "deaf": deaf,
    "orphans": orphans,
}
WAYS[sys.argv[1]]()
