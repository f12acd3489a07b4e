"""A server with OpenAI's chat completions API that fails as its rules say; a process of its own, over real HTTP.

    python caption_server.py '{"script": ["429", "hang"], "refuse": 0.2, ...}'

prints its port. A clip is known by its frames. The k-th request about a clip meets the k-th failure of `script`; later
requests are answered. `GET /stats` returns how often each clip was asked about.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

HANG_S = 3.0
MODEL = "tiny-vlm"
TEXT = (
    "A {0} shape with the mark {1} glides across a plain field while the light from above stays even. It moves to the "
    "side at a steady pace and then goes on behind the edge of the picture, and the ground beneath it keeps its "
    "colour. The camera stands still at the height of the eye and shows the whole scene from a short "
    "distance. Take {2}."
)


def clip_mark(messages: list[dict[str, Any]]) -> str:
    """Hash of a request's frames, which must be JPEGs: the same for every request about one clip."""
    urls = [part["image_url"]["url"] for part in messages[0]["content"] if part["type"] == "image_url"]
    assert urls and all(url.startswith("data:image/jpeg;base64,/9j/") for url in urls)
    return hashlib.sha256("".join(urls).encode()).hexdigest()[:12]


class Handler(BaseHTTPRequestHandler):
    """Answers requests by `rules`, and counts them for the whole process."""

    protocol_version = "HTTP/1.1"
    rules: ClassVar[dict[str, Any]] = {}
    """key: the API key that is required. never: share of the clips that are never answered. script: failures in the
    order in which a clip meets them, beginning anywhere (see `fail`). delay_s: time before an answer. bad: by text,
    [low, high, tries]: clips between these shares get the text as their answer for seeds below `tries`."""
    asked: ClassVar[Counter] = Counter()
    answered: ClassVar[Counter] = Counter()
    requests: ClassVar[list] = []
    under_way = 0
    most_under_way = 0
    lock = threading.Lock()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        with Handler.lock:
            stats = {"asked": self.asked, "answered": self.answered, "most": Handler.most_under_way}
            stats["requests"] = self.requests
            self.reply(200, json.dumps(stats).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Handler.lock:
            Handler.under_way += 1
            Handler.most_under_way = max(Handler.most_under_way, Handler.under_way)
        try:
            with contextlib.suppress(ConnectionError):
                self.answer(body)
        finally:
            with Handler.lock:
                Handler.under_way -= 1

    def answer(self, body: dict) -> None:
        rules = self.rules
        if key := rules.get("key"):
            given = self.headers.get("Authorization", "")
            if given != f"Bearer {key}":
                return self.reply(401, json.dumps({"error": {"message": f"wrong key {given}"}}).encode())
        if body["model"] != MODEL:
            return self.reply(404, b'{"error": {"message": "The model does not exist."}}')
        mark = clip_mark(body["messages"])
        with Handler.lock:
            self.asked[mark] += 1
            count = self.asked[mark]
            self.requests.append([mark, body["temperature"], body["seed"]])
        share = int(mark[:4], 16) / 2**16
        if share < rules.get("never", 0):
            return self.reply(503, b"busy")
        script = rules.get("script", [])
        if count <= len(script):
            return self.fail(script[(count - 1 + int(mark[4:6], 16)) % len(script)])
        time.sleep(rules.get("delay_s", 0))
        with Handler.lock:
            self.answered[mark] += 1
        bad = list(rules.get("bad", {}).items())
        for text, (low, high, tries) in bad:
            if low <= share < high and body["seed"] < tries:
                return self.say(text)
        colour = ("red", "green", "blue", "yellow")[int(mark[6], 16) % 4]
        self.say(TEXT.format(colour, mark, body["seed"]))

    def say(self, text: str) -> None:
        finish = "length" if text.endswith("...") else "stop"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        self.reply(200, json.dumps({"object": "chat.completion", "choices": [choice]}).encode())

    def fail(self, what: str) -> None:
        """Fails in one of the ways that a server may."""
        if what == "429":
            self.reply(429, b"slow down", {"Retry-After": "0.2"})
        elif what == "500":
            self.reply(500, b"<html>oops</html>")
        elif what == "hang":
            time.sleep(HANG_S)
            self.reply(200, b"{}")
        elif what == "no json":
            self.reply(200, b'{"choices": [{"message": {"con')
        elif what == "no choice":
            self.reply(200, b'{"choices": []}')
        elif what == "null":
            self.reply(200, b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}')
        elif what == "drop":
            self.close_connection = True
            self.connection.close()
        elif what == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"and so on " * 4096)
        elif what == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(int(HANG_S / 0.1)):
                self.wfile.write(b" ")
                time.sleep(0.1)
            self.close_connection = True
        else:
            raise ValueError(what)

    def reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class Server:
    """The server's address, for a test."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"

    def stats(self) -> dict[str, Any]:
        """Requests and answers so far, by clip; the largest number of requests at one time."""
        with urllib.request.urlopen(self.url) as reply:
            return json.load(reply)


@contextlib.contextmanager
def caption_server(**rules: object) -> Iterator[Server]:
    """Runs a server with these rules for the length of the block."""
    program = [sys.executable, str(Path(__file__)), json.dumps(rules)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    Handler.rules = json.loads(sys.argv[1])
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
