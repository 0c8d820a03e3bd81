"""Answers each request with the words in words.txt; ends when it is told to."""

import http.server
import os
import signal
import sys

WORDS = open("words.txt", encoding="utf-8").read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = WORDS.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("small app is up", flush=True)
Server(("", int(os.environ["PORT"])), Handler).serve_forever()
