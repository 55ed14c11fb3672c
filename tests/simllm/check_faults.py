"""Every kind of fault as a client sees it, which calls it hits, and the latencies drawn."""

import json
import os
import tempfile
import time
import unittest

import reference as ref
from reference import Cut, answer, chat_body, read_log, request_bytes, server, until


class Faults(unittest.TestCase):
    def fault(self, *faults):
        flags = [flag for fault in faults for flag in ("--fault", fault)]
        return self.enterContext(server(*flags))

    def assert_error(self, fault, status, code, kind):
        reply = self.fault(fault).call("t")
        self.assertEqual((reply.status, reply.error()["code"], reply.error()["type"]),
                         (status, code, kind))
        return reply

    def test_refusals(self):
        reply = self.assert_error("status:code=503,retry_after=1.5,body-code=busy", 503, "busy",
                                  "server_error")
        self.assertEqual(reply.headers["retry-after"], "1.5")
        self.assert_error("status", 500, None, "server_error")
        self.assert_error("status:code=401", 401, "invalid_api_key", "invalid_request_error")
        self.assert_error("status:code=400,body-code=x,body-type=x", 400, "x", "x")
        self.assert_error("overload", 503, "server_is_overloaded", "service_unavailable_error")
        self.assert_error("quota", 429, "insufficient_quota", "insufficient_quota")
        self.assert_error("context", 400, "context_length_exceeded", "invalid_request_error")
        self.assert_error("content_filter", 400, "content_filter", "invalid_request_error")

    def test_reset_is_a_tcp_reset(self):
        with self.fault("reset").connect() as client:
            self.assertRaises(ConnectionResetError, client.call, "t")

    def test_die_after_read_closes_a_connection_that_worked_before(self):
        with self.fault("die_after_read:from=2").connect() as client:
            self.assertEqual(client.call("t").status, 200)
            with self.assertRaises(Cut) as cut:
                client.call("t")
            self.assertEqual(cut.exception.seen, b"")

    def test_hang_never_answers_and_statistics_do(self):
        sim = self.fault("hang")
        with sim.connect() as client:
            client.send(request_bytes("POST", "/v1/chat/completions", chat_body("t")))
            client.socket.settimeout(0.3)
            self.assertRaises(TimeoutError, client.receive)
            start = time.monotonic()
            self.assertEqual(sim.stats()["in_flight"], 1)
            self.assertLess(time.monotonic() - start, 1)
        until(lambda: sim.stats()["in_flight"] == 0)
        self.assertEqual(sim.stats()["abandoned"], 1)

    def test_truncated_ends_before_its_length(self):
        with self.fault("truncated").connect() as client:
            with self.assertRaises(Cut) as cut:
                client.call("t")
            self.assertGreater(len(cut.exception.seen), 100)

    def test_malformed_is_complete_http_and_cut_json(self):
        with self.fault("malformed:first=1").connect() as client:
            reply = client.call("t")
            self.assertEqual(reply.status, 200)
            self.assertRaises(ValueError, reply.json)
            self.assertEqual(client.call("t").text(), answer("t"))

    def test_empty_has_no_choices(self):
        sim = self.fault("empty")
        self.assertEqual(sim.call("t").json()["choices"], [])
        with sim.connect() as client:
            embeddings = client.request("POST", "/v1/embeddings", {"model": "m", "input": "t"})
            self.assertEqual(embeddings.json()["data"], [])

    def test_unfit_and_prose_are_answers_and_a_repair_is_the_same_text_again(self):
        def repaired(client, text):
            messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "{}"},
                        {"role": "user", "content": "That does not fit the JSON schema: no."}]
            return client.request("POST", "/v1/chat/completions",
                                  {"model": "m", "messages": messages}).text()
        right = f'{{"checksum":"{ref.crc("bad"):08x}","length":3}}'
        for kind in ("unfit", "prose"):
            flags = ["--answer", "json", "--fault", f"{kind}:match=bad,times=2"]
            with self.subTest(kind), server(*flags) as sim, sim.connect() as client:
                texts = [client.call("bad").text(), repaired(client, "bad"), repaired(client, "bad")]
                self.assertEqual(texts[0], texts[1])
                self.assertEqual(texts[2], right)
                if kind == "unfit":
                    self.assertEqual(json.loads(texts[0]), {"checksum": 7})
                else:
                    self.assertRaises(ValueError, json.loads, texts[0])
                self.assertEqual(client.call("bad").text(), right)
                self.assertEqual(sim.stats()["faults"], {kind: 2})
                completion = client.request("POST", "/v1/completions", {"model": "m", "prompt": "bad x"})
                self.assertEqual(completion.json()["choices"][0]["text"], answer("bad x"))
        # Its complaint may name the bad text's match, the fault is still that of the text.
        with self.fault("unfit:match=JSON").connect() as client:
            self.assertEqual(repaired(client, "t"), answer("t"))

    def embed(self, sim, *texts):
        with sim.connect() as client:
            return client.request("POST", "/v1/embeddings", {"model": "m", "input": list(texts)})

    def test_lists_of_embeddings_lack_an_index_double_one_or_run_backwards(self):
        odd = {"missing_index": ([0, 2], "ac"), "doubled_index": ([0, 0, 2], "abc"),
               "backwards": ([2, 1, 0], "cba")}
        for fault, (indexes, texts) in odd.items():
            with self.subTest(fault):
                sim = self.fault(f"{fault}:match=a")
                data = self.embed(sim, "a", "b", "c").json()["data"]
                self.assertEqual([item["index"] for item in data], indexes)
                self.assertEqual([item["embedding"] for item in data],
                                 [ref.embedding(text) for text in texts])
                for asked in (["a"], ["b", "c"]):  # too few inputs, or none that matches
                    data = self.embed(sim, *asked).json()["data"]
                    self.assertEqual([item["index"] for item in data], list(range(len(asked))))
                self.assertEqual(sim.call("a").text(), answer("a"))
                self.assertEqual(sim.stats()["faults"], {fault: 1})

    def test_a_text_is_refused_wherever_it_stands_among_others(self):
        sim = self.fault("status:code=400,match=BAD")
        asked = (["a", "BAD"], ["BAD"], ["a", "b"], ["a BAD", "b", "c"])
        self.assertEqual([self.embed(sim, *texts).status for texts in asked], [400, 400, 200, 400])

    def test_html_redirect_and_huge(self):
        reply = self.fault("html").call("t")
        self.assertEqual((reply.status, reply.headers["content-type"]), (502, "text/html"))
        self.assertIn(b"<html>", reply.body)
        reply = self.fault("redirect:location=http://127.0.0.1:1/x").call("t")
        self.assertEqual((reply.status, reply.headers["location"]), (302, "http://127.0.0.1:1/x"))
        with self.fault("huge:bytes=9000001,first=1").connect() as client:
            reply = client.call("t")
            self.assertEqual(len(reply.body), 9000001)
            self.assertEqual(reply.text(), answer("t"))
            self.assertEqual(client.call("t").text(), answer("t"))

    def test_a_rate_hits_the_texts_that_the_formula_says(self):
        sim = self.enterContext(server("--seed", "7", "--fault", "overload:rate=0", "--fault",
                                       "status:rate=0.3"))
        texts = [f"text {i}" for i in range(200)]
        with sim.connect() as client:
            for nth in (1, 2):
                hit = [client.call(text).status == 500 for text in texts]
                self.assertEqual(hit, [ref.draw(7, 1, text, nth) < 0.3 for text in texts])
                self.assertTrue(30 < sum(hit) < 90)

    def test_the_other_keys_choose_calls(self):
        def statuses(fault, texts):
            with self.fault(fault).connect() as client:
                return [client.call(text).status for text in texts]
        self.assertEqual(statuses("status:match=bad", ["ok", "a bad one", "ba"]), [200, 500, 200])
        self.assertEqual(statuses("status:first=2,match=x", "axxxa"), [200, 500, 500, 200, 200])
        self.assertEqual(statuses("status:times=2", "aabab"), [500, 500, 500, 200, 500])
        self.assertEqual(statuses("status:from=2,to=3", "abcd"), [200, 500, 500, 200])
        with self.fault("context:model=small").connect() as client:
            asked = [client.request("POST", "/v1/chat/completions",
                                    {"model": model, "messages": [{"role": "user", "content": "t"}]})
                     for model in ("small", "large", "smaller")]
            self.assertEqual([reply.status for reply in asked], [400, 200, 200])

    def test_the_first_matching_fault_wins_and_all_are_counted(self):
        sim = self.fault("status:code=503,match=a", "status:code=500,match=b")
        self.assertEqual([sim.call(text).status for text in ("ab", "b", "c")], [503, 500, 200])
        stats = sim.stats()
        self.assertEqual((stats["calls"], stats["completed"]), (3, 1))
        self.assertEqual(stats["faults"], {"status": 2})
        self.assertEqual(stats["by_status"], {"200": 1, "500": 1, "503": 1})


class Time(unittest.TestCase):
    def test_latencies_are_drawn_as_the_formulas_say_and_really_waited(self):
        laws = {"uniform:10ms:50ms": lambda *a: ref.uniform_us(10e3, 50e3, *a),
                "lognormal:20ms:0.5": lambda *a: ref.lognormal_us(20e3, 0.5, *a),
                "const:15ms": lambda *a: 15e3, "1500us": lambda *a: 1500}
        for law, predict in laws.items():
            with tempfile.TemporaryDirectory() as folder, self.subTest(law):
                path = os.path.join(folder, "log")
                flags = ["--latency", law, "--seed", "9"]
                with server(*flags, log=path) as sim, sim.connect() as client:
                    late_us = []
                    for nth in (1, 2, 3, 4, 5):
                        start = time.monotonic()
                        client.call("same")
                        waited_us = (time.monotonic() - start) * 1e6
                        wanted_us = predict(9, "same", nth)
                        self.assertGreaterEqual(waited_us, wanted_us - 1)
                        late_us.append(waited_us - wanted_us)
                    self.assertLess(min(late_us), 20e3)  # the best: other programs may be busy
                for nth, line in enumerate(read_log(path), 1):
                    self.assertLessEqual(abs(line["latency_us"] - predict(9, "same", nth)), 1)
