"""What replies mean to a whole run: how it ends, how often it calls, what it says and what it keeps.
Each server here answers every call alike, or by the number of the call.
"""
import gzip
import http.server
import json
import threading
import unittest

from harness import EndToEnd


def answer(content="ok", **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": content},
              "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return json.dumps({"choices": [choice], "usage": usage, **more}).encode()


class Server:
    """`reply(number of the call) -> (status, headers, bytes)`."""

    def __init__(self, reply):
        self.calls, lock, server = 0, threading.Lock(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    server.calls += 1
                    number = server.calls
                status, headers, body = reply(number)
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Replies(EndToEnd):
    def play(self, reply, *options, count=1, url="/v1/chat/completions", code=0, **body):
        server = Server(reply if callable(reply) else lambda n: (200, {}, reply))
        self.addCleanup(server.close)
        source, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        body = body or {"messages": [{"role": "user", "content": "hi"}]}
        source.write_text("".join(json.dumps({
            "custom_id": f"r{i}", "method": "POST", "url": url, "body": {"model": "m", **body}}) + "\n"
            for i in range(count)))
        run = self.gristmill("run", source, "--endpoint", server.url, "-o", self.output, *options,
                             check=code)
        self.stderr = run.stderr
        return server

    def lines(self):
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def test_a_paid_answer_that_a_reader_understands_is_kept(self):
        body = answer("HERE").replace(b"HERE", b"good \\ud83d end")
        server = self.play(b"\xef\xbb\xbf" + body + b"\0\n")
        self.assertEqual(server.calls, 1)
        content = self.lines()[0]["response"]["body"]["choices"][0]["message"]["content"]
        self.assertEqual(content, "good \ufffd end")

    def test_a_compressed_answer_is_read(self):
        server = self.play(lambda n: (200, {"Content-Encoding": "gzip"},
                                      gzip.compress(answer("unpacked"))))
        self.assertEqual(server.calls, 1)
        self.assertIn("unpacked", self.output.read_text())

    def test_an_answer_of_no_form_is_asked_for_once_more(self):
        vectors = json.dumps({"data": [{"index": 0, "embedding": [0.5]}]}).encode()
        server = self.play(vectors, url="/v1/embeddings", code=3, input=["a", "b", "c"])
        self.assertEqual(server.calls, 2)
        (error,) = self.summary(self.output)["errors"]
        self.assertEqual((error["class"], error["code"]), ("malformed", "wrong_count"))
        self.assertIn("expected 3 embeddings", error["sample"]["message"])

    def test_an_empty_purse_in_other_words_ends_the_run_and_says_so(self):
        body = json.dumps({"error": {"code": "1113", "message": "No balance left."}}).encode()
        self.play(lambda n: (429, {}, body), code=4)
        self.assertIn("No balance left", self.stderr)

    def test_a_wrong_key_that_is_refused_with_400_fails_no_item(self):
        body = json.dumps([{"error": {"code": 400, "message": "API key not valid.",
                                      "status": "INVALID_ARGUMENT",
                                      "details": [{"reason": "API_KEY_INVALID"}]}}]).encode()
        self.play(lambda n: (400, {}, body), count=20, code=4)
        self.assertIn("API key not valid", self.stderr)

    def test_a_200_about_the_url_stops_the_job_early(self):
        server = self.play(json.dumps({"error": "Unexpected endpoint or method. (POST /x)"}).encode(),
                           count=100, code=4)
        self.assertLessEqual(server.calls, 100)
        self.assertIn("Unexpected endpoint", self.stderr)

    def test_what_an_error_says_in_any_form_is_in_the_summary(self):
        body = json.dumps({"detail": [{"type": "missing", "loc": ["body", "messages"],
                                       "msg": "Field required"}]}).encode()
        self.play(lambda n: (422, {}, body), code=3)
        (error,) = self.summary(self.output)["errors"]
        self.assertEqual(error["sample"]["message"], "body.messages: Field required")
        (line,) = self.lines()
        self.assertEqual(line["gristmill"]["message"], "body.messages: Field required")
        self.assertEqual(line["response"]["body"], json.loads(body))

    def test_a_choice_that_failed_is_asked_for_again(self):
        failed = answer(choices=[{"index": 0, "message": {"content": "half"},
                                  "finish_reason": "error"}])
        server = self.play(lambda n: (200, {}, failed if n == 1 else answer("whole")))
        self.assertEqual(server.calls, 2)
        self.assertIn("whole", self.output.read_text())


if __name__ == "__main__":
    unittest.main()
