"""Answers, item by item against the reference, and the HTTP that carries them."""

import base64
import json
import struct
import time
import unittest
import zlib

import reference as ref
from reference import Cut, answer, chat_body, request_bytes, server


class Answers(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(server("--model", "a", "--model", "b"))
        self.client = self.enterContext(self.server.connect())

    def post(self, path, **body):
        return self.client.request("POST", path, {"model": "mø\"del", **body})

    def test_chat_answers_the_last_message_with_its_checksum_and_exact_usage(self):
        for text in ["", "hello", "žluťoučký 🐎 \"quoted\"\n\t\\ \u0001", "x" * 300_000]:
            messages = [{"role": "system", "content": "Be brief."},
                        {"role": "user", "content": text}]
            reply = self.post("/v1/chat/completions", messages=messages)
            body = reply.json()
            self.assertEqual(reply.status, 200)
            self.assertEqual(reply.text(), answer(text))
            self.assertEqual(body["model"], "mø\"del")
            self.assertEqual(body["object"], "chat.completion")
            self.assertLess(abs(body["created"] - time.time()), 5)
            self.assertEqual(body["choices"][0]["finish_reason"], "stop")
            prompt = ref.prompt_tokens("Be brief.", text)
            self.assertEqual(body["usage"], {"prompt_tokens": prompt, "completion_tokens": 8,
                                             "total_tokens": prompt + 8})

    def test_text_parts_are_put_together(self):
        parts = [{"type": "text", "text": "one "}, {"type": "image_url", "image_url": {"url": "u"}},
                 {"type": "text", "text": "two"}]
        messages = [{"role": "user", "content": parts}]
        self.assertEqual(self.post("/v1/chat/completions", messages=messages).text(),
                         answer("one two"))

    def test_a_label_is_picked_when_that_is_asked_for(self):
        system = "Choose.\nLabels:\n- spam\n- ham and eggs\n\n- none"
        with server("--answer", "label", "--fault", "babble:match=BABBLE") as sim, \
                sim.connect() as client:
            for text in ["a", "b", "c", "d"]:
                messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
                said = client.request("POST", "/v1/chat/completions",
                                      {"model": "m", "messages": messages}).text()
                self.assertEqual(said, ["spam", "ham and eggs"][zlib.crc32(text.encode()) % 2])
            messages[1]["content"] = "BABBLE"
            said = client.request("POST", "/v1/chat/completions",
                                  {"model": "m", "messages": messages}).text()
            self.assertEqual(said, answer("BABBLE"))
            self.assertEqual(client.call("no labels").text(), answer("no labels"))

    def test_json_tells_checksum_and_length_and_a_repair_those_of_the_request_that_it_repairs(self):
        wanted = lambda text: {"checksum": f"{ref.crc(text):08x}", "length": len(text.encode())}
        complaint = "That does not fit the JSON schema: at /checksum: no. Answer again."
        with server("--answer", "json") as sim, sim.connect() as client:
            def said(*messages):
                reply = client.request("POST", "/v1/chat/completions", {"model": "m", "messages": [
                    {"role": role, "content": content} for role, content in messages]})
                return json.loads(reply.text()), reply.json()["usage"]["prompt_tokens"]
            for text in ("", "žluťoučký \"🐎\"", "x" * 300_000):
                asked = ("system", "Be brief."), ("user", text)
                self.assertEqual(said(*asked), (wanted(text), ref.prompt_tokens("Be brief.", text)))
                self.assertEqual(said(*asked, ("assistant", "{}"), ("user", complaint)), (
                    wanted(text), ref.prompt_tokens("Be brief.", text, "{}", complaint)))
            parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
            self.assertEqual(said(("user", parts), ("assistant", "{}"), ("user", complaint))[0],
                             wanted("one two"))
            # These repair nothing.
            for asked in ([("user", complaint)], [("assistant", "{}"), ("user", complaint)],
                          [("user", "a"), ("user", "b"), ("user", complaint)]):
                self.assertEqual(said(*asked)[0], wanted(complaint))
            self.assertEqual(said(("user", "a"), ("assistant", "b"), ("user", "c"))[0], wanted("c"))

    def test_max_tokens_cuts_the_answer_and_says_so(self):
        for key in ("max_tokens", "max_completion_tokens"):
            body = self.client.call("t", **{key: 3}).json()
            self.assertEqual(body["choices"][0]["message"]["content"], answer("t", 3))
            self.assertEqual(body["choices"][0]["finish_reason"], "length")
            self.assertEqual(body["usage"]["completion_tokens"], 3)
        self.assertEqual(self.client.call("t", max_tokens=8).json()["choices"][0]["finish_reason"],
                         "stop")

    def test_completions_answer_each_prompt(self):
        body = self.post("/v1/completions", prompt="p").json()
        self.assertEqual(body["choices"][0]["text"], answer("p"))
        self.assertEqual(body["object"], "text_completion")
        body = self.post("/v1/completions", prompt=["p", "q"]).json()
        self.assertEqual([choice["text"] for choice in body["choices"]], [answer("p"), answer("q")])
        self.assertEqual(body["usage"], {"prompt_tokens": ref.prompt_tokens("p", "q"),
                                         "completion_tokens": 16,
                                         "total_tokens": ref.prompt_tokens("p", "q") + 16})

    def test_responses_answer_text_and_messages(self):
        body = self.post("/v1/responses", input="i", max_output_tokens=2).json()
        self.assertEqual(body["output"][0]["content"][0],
                         {"type": "output_text", "text": answer("i", 2), "annotations": []})
        self.assertEqual(body["status"], "incomplete")
        self.assertEqual(body["usage"]["output_tokens"], 2)
        parts = [{"role": "user", "content": [{"type": "input_text", "text": "j"}]}]
        body = self.post("/v1/responses", input=parts, instructions="k").json()
        self.assertEqual(body["output"][0]["content"][0]["text"], answer("j"))
        self.assertEqual(body["usage"]["input_tokens"], ref.prompt_tokens("j", "k"))
        self.assertEqual(body["usage"]["total_tokens"], ref.prompt_tokens("j", "k") + 8)

    def test_embeddings_come_as_numbers_and_as_base64(self):
        body = self.post("/v1/embeddings", input=["a", "ß"]).json()
        self.assertEqual([item["index"] for item in body["data"]], [0, 1])
        self.assertEqual(body["data"][1]["embedding"], ref.embedding("ß"))
        self.assertEqual(body["usage"], {"prompt_tokens": ref.prompt_tokens("a", "ß"),
                                         "total_tokens": ref.prompt_tokens("a", "ß")})
        for dimensions in (1, 2, 3, 40):
            body = self.post("/v1/embeddings", input="z", dimensions=dimensions,
                             encoding_format="base64").json()
            raw = base64.b64decode(body["data"][0]["embedding"], validate=True)
            floats = struct.pack(f"<{dimensions}f", *ref.embedding("z", dimensions))
            self.assertEqual(raw, floats)

    def test_token_ids_are_the_text_of_their_numbers(self):
        for ids, texts in (([7, 8], ["7 8"]), ([[7, 8], [9]], ["7 8", "9"]),
                           (["a", [7]], ["a", "7"])):
            body = self.post("/v1/embeddings", input=ids).json()
            self.assertEqual([item["embedding"] for item in body["data"]],
                             [ref.embedding(text) for text in texts])
            self.assertEqual(body["usage"]["prompt_tokens"], ref.prompt_tokens(*texts))
        for bad in ([[]], [7, "a"], ["a", 7], [{}], []):
            self.assertEqual(self.post("/v1/embeddings", input=bad).status, 400, bad)

    def test_models_are_listed_and_unknown_routes_are_404(self):
        models = self.client.request("GET", "/v1/models").json()
        self.assertEqual([model["id"] for model in models["data"]], ["a", "b"])
        for method, path in [("GET", "/v1/nothing"), ("POST", "/v1/models"),
                             ("GET", "/v1/chat/completions")]:
            reply = self.client.request(method, path, b"{}")
            self.assertEqual(reply.status, 404)
            self.assertIn("message", reply.error())
        self.assertEqual(self.client.call("t", path="/any/prefix/v1/chat/completions").status, 200)

    def test_bad_requests_are_400_and_the_connection_lives_on(self):
        bad = [b"", b"[]", b"{\"model\":\"m\",\"messages\":[", b"{\"messages\":[]}", b"\xff{}",
               json.dumps(chat_body("t", stream=True)).encode(), b"{\"model\":\"m\"}",
               b"{\"model\":\"m\",\"messages\":[]}"]
        for body in bad:
            reply = self.client.request("POST", "/v1/chat/completions", body)
            self.assertEqual((reply.status, reply.error()["type"]), (400, "invalid_request_error"))
        self.assertEqual(self.client.call("t").status, 200)


class Protocol(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(server())
        self.client = self.enterContext(self.server.connect())

    def test_a_request_may_come_in_any_pieces(self):
        data = request_bytes("POST", "/v1/chat/completions", chat_body("pieces"))
        for i in range(len(data)):
            self.client.send(data[i:i + 1])
        self.assertEqual(self.client.receive().text(), answer("pieces"))

    def test_chunked_bodies_are_read(self):
        body = json.dumps(chat_body("chunks" * 50)).encode()
        chunks = [body[i:i + 7] for i in range(0, len(body), 7)]
        head = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n"
        tail = b"0\r\nTrailer: t\r\n\r\n"
        data = b"".join(b"%x;e=1\r\n%s\r\n" % (len(c), c) for c in chunks) + tail
        for pieces in ([head + data], [head, data[:20], data[20:-3], data[-3:]]):
            for piece in pieces:
                self.client.send(piece)
                time.sleep(0.002)
            self.assertEqual(self.client.receive().text(), answer("chunks" * 50))

    def test_a_client_that_asks_first_is_told_to_go_on(self):
        data = request_bytes("POST", "/v1/chat/completions", chat_body("c"),
                             {"Expect": "100-continue"})
        head, body = data.split(b"\r\n\r\n", 1)
        self.client.send(head + b"\r\n\r\n")
        self.assertEqual(self.client.receive().status, 100)
        self.client.send(body)
        self.assertEqual(self.client.receive().text(), answer("c"))

    def test_two_requests_at_once_are_answered_in_turn(self):
        self.client.send(b"".join(request_bytes("POST", "/v1/chat/completions", chat_body(t))
                                  for t in ("one", "two")))
        self.assertEqual([self.client.receive().text() for _ in range(2)],
                         [answer("one"), answer("two")])

    def test_connection_close_is_obeyed(self):
        reply = self.client.call("bye", headers={"Connection": "close"})
        self.assertEqual((reply.status, reply.headers["connection"]), (200, "close"))
        with self.assertRaises(Cut):
            self.client.receive()

    def test_nonsense_is_refused(self):
        both = b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"
        for head in [b"hello\r\n\r\n", b"GET / HTTP/2\r\n\r\n",
                     b"GET / HTTP/1.1\r\n broken\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                     b"POST / HTTP/1.1\r\n" + both + b"\r\n"]:
            with self.server.connect() as client:
                client.send(head)
                self.assertEqual(client.receive().status, 400)
                self.assertRaises(Cut, client.receive)

    def test_the_api_key_is_asked_for(self):
        with server("--api-key", "k") as guarded:
            refused = guarded.call("t", headers={"Authorization": "Bearer x"})
            self.assertEqual((refused.status, refused.error()["code"]), (401, "invalid_api_key"))
            self.assertEqual(guarded.call("t").status, 401)
            self.assertEqual(guarded.call("t", headers={"Authorization": "Bearer k"}).status, 200)
