"""A server whose answers a test writes itself, call by call, where gristmill-simllm has no fault of
that kind."""
import contextlib
import http.server
import json
import socket
import threading
import time

from harness import crc

LOADING = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def url_of(case, handler):
    """Where a server of this handler listens, until the test case is over."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    case.addCleanup(server.server_close)
    case.addCleanup(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/v1"


class Server:
    """Answers each call as `reply(question)` says: a status and a body; None = the answer of
    gristmill-simllm; an exception ends the connection without a word."""

    def __init__(self, port, reply, context=None):
        self.began, self.answered_at, self.connections, server = time.monotonic(), [], [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                server.connections.append(self.connection)

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                question = body["messages"][-1]["content"]
                try:
                    status, data = reply(question) or (200, server.answer(question))
                except ConnectionError:
                    self.close_connection = True
                    return
                if status == 200:
                    server.answered_at.append(time.monotonic())
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        http.server.ThreadingHTTPServer.request_queue_size = 512
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.handle_error = lambda *_: None
        self.http.daemon_threads = True
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, question):
        message = {"role": "assistant", "content": "sim " + crc(question)}
        return json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [
            {"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}).encode()

    def end(self):
        """With all its connections, as a process ends."""
        self.http.shutdown()
        self.http.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
