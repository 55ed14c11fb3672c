"""What keeps keys and prompts from others: TLS with whom is meant, keys taken out of what servers
repeat, rules for keys where nobody has proven to be the coordinator, memory that others cannot read."""
import http.server
import json
import os
import pathlib
import resource
import signal
import ssl
import subprocess
import threading
import unittest

from harness import PATIENCE_S, EndToEnd, binary, write_batch

KEY = "sk-CANARY-0123456789abcdef"


class Model(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent as a key."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.keys.append(self.headers["authorization"])
        said = f"your key: {self.headers['authorization']}"
        status = self.server.status
        answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}], "model": "m"}
        body = json.dumps(answer if status == 200 else {"error": {"message": said, "code": "bad"}}).encode()
        self.send_response(status)
        self.send_header("x-request-id", said)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    connections = 0

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_):
        pass  # handshakes that were given up


class Secrets(EndToEnd):
    def model(self, certificate=None, status=200):
        server = Quiet(("127.0.0.1", 0), Model)
        server.keys, server.status = [], status
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        server.url = f"{scheme}://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def certificate(self, name="127.0.0.1"):
        """One that signed itself: who trusts it, trusts it alone."""
        made = (self.directory / f"{name}.pem", self.directory / f"{name}.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{name}",
                        "-out", made[0], "-keyout", made[1]], check=True, capture_output=True)
        return made

    def batch(self, count=3):
        path = self.directory / "in.jsonl"
        write_batch(path, count, model="m")
        return path

    def run_it(self, *options, check=0, env=None):
        return self.gristmill("run", self.batch(), *options, "-o", self.directory / "out.jsonl", check=check,
                              env={"THE_KEY": KEY, **(env or {})})

    # ---- TLS -------------------------------------------------------------------------------------

    def test_an_endpoint_whose_authority_was_named_is_called_by_run(self):
        pem, key = self.certificate()
        model = self.model((pem, key))
        self.run_it("--endpoint", model.url, "--api-key-env", "THE_KEY", "--ca-file", pem)
        self.assertEqual(model.keys, [f"Bearer {KEY}"] * 3)
        refused = self.run_it("--endpoint", model.url, "--ca-file", self.batch(), "--restart", check=2)
        self.assertIn("--ca-file: expected a file with certificates", refused.stderr)

    def test_an_endpoint_that_nobody_vouches_for_gets_nothing(self):
        model = self.model(self.certificate())
        run = self.start("gristmill", "run", self.batch(), "--endpoint", model.url, "--api-key-env", "THE_KEY",
                         "--ca-file", self.certificate("127.0.0.2")[0], "-o", self.directory / "out.jsonl",
                         env={"THE_KEY": KEY})
        self.until("some handshakes", lambda: model.connections >= 3)
        run.end(signal.SIGINT)
        self.assertEqual(model.keys, [])

    def test_a_worker_calls_an_endpoint_whose_authority_was_named(self):
        pem, key = self.certificate()
        model = self.model((pem, key))
        hub = self.coordinator()
        worker = self.start("gristmill-worker", "--coordinator", hub.listen, "--endpoint", model.url,
                            "--model", "m", "--api-key-env", "THE_KEY", "--ca-file", pem, label="w",
                            env={"THE_KEY": KEY})
        worker.ready()
        self.gristmill("submit", self.batch(), "-m", "m", "--server", hub.http, "--wait",
                       "-o", self.directory / "out.jsonl")
        self.assertEqual(model.keys, [f"Bearer {KEY}"] * 3)

    # ---- keys that servers repeat ----------------------------------------------------------------

    def test_a_key_that_the_server_repeats_is_nowhere(self):
        for status in (200, 400, 401):
            with self.subTest(status=status):
                model = self.model(status=status)
                ended = self.run_it("--endpoint", model.url, "--api-key-env", "THE_KEY", "--retries", "0", "-v",
                                    "--restart", check=None)
                self.assertEqual(model.keys[0], f"Bearer {KEY}")
                self.assertNotIn(KEY, ended.stdout + ended.stderr)
                holders = [str(f) for f in self.directory.rglob("*")
                           if f.is_file() and KEY.encode() in f.read_bytes()]
                self.assertEqual(holders, [])
                if status == 200:
                    self.assertIn("your key: Bearer [hidden]", (self.directory / "out.jsonl").read_text())

    # ---- keys of keyless workers -----------------------------------------------------------------

    def test_a_keyless_worker_shows_a_pool_no_key_without_a_rule(self):
        model = self.model()
        config = self.directory / "pools.toml"
        config.write_text(f'[[pool]]\nmodel = "m"\n[[pool.endpoint]]\nurl = "{model.url}"\n'
                          'api_key_env = "THE_KEY"\n')
        hub = self.coordinator("--config", config)

        def worker(name, *options):
            process = self.start("gristmill-worker", "--coordinator", hub.listen, "--name", name, *options,
                                 label=name, env={"THE_KEY": KEY})
            process.ready()
            return process

        submit = ["submit", self.batch(), "-m", "m", "--server", hub.http]
        bare = worker("bare")
        job = self.gristmill(*submit).stdout.strip()
        self.until("it says which word is missing", lambda: f"--allow-key THE_KEY={model.url}" in
                   self.gristmill("status", job, "--server", hub.http, "--json").stdout)
        self.assertEqual(model.keys, [])
        bare.end()
        worker("ruled", "--allow-key", f"THE_KEY={model.url}")
        self.gristmill(*submit, "--wait", "-o", self.directory / "out.jsonl")
        self.assertGreaterEqual(len(model.keys), 3)
        self.assertEqual(set(model.keys), {f"Bearer {KEY}"})

    # ---- memory ----------------------------------------------------------------------------------

    def as_somebody(self, *command, env=None):
        """Root sees everything, so a test by root is made by another user's eyes."""
        prefix = []
        if os.geteuid() == 0:
            self.directory.chmod(0o777)
            prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        return self.start_command([*prefix, *map(str, command)], pathlib.Path(command[0]).name,
                                  {"THE_KEY": KEY, **(env or {})})

    def owners(self, env=None):
        """Program -> the user who owns its memory below /proc: root, if no other may look into it."""
        hub = self.as_somebody(binary("gristmill-coordinator"), "--listen", "tcp://127.0.0.1:0", "--http",
                               "127.0.0.1:0", "--state", self.directory / f"state-{len(env or {})}", env=env)
        listen = hub.ready()["listen"]
        worker = self.as_somebody(binary("gristmill-worker"), "--coordinator", listen, env=env)
        worker.ready()
        model = self.server("--latency", "60s")
        run = self.as_somebody(binary("gristmill"), "run", self.batch(), "--endpoint", model.url,
                               "-o", self.directory / f"run-{len(env or {})}.jsonl", env=env)
        self.until_calls(model, 1)
        return {p.name: os.stat(f"/proc/{p.popen.pid}/mem").st_uid for p in (hub, worker, run)}

    PROGRAMS = ("gristmill-coordinator", "gristmill-worker", "gristmill")

    def test_no_program_can_be_looked_into_by_its_own_user(self):
        self.assertEqual(self.owners(), dict.fromkeys(self.PROGRAMS, 0))

    def test_who_wants_to_debug_may_allow_dumps(self):
        user = 65534 if os.geteuid() == 0 else os.geteuid()
        self.assertEqual(self.owners({"GRISTMILL_ALLOW_DUMPS": "1"}), dict.fromkeys(self.PROGRAMS, user))

    def test_a_worker_that_is_aborted_leaves_no_core(self):
        (self.directory / "cores").mkdir()
        self.directory.chmod(0o777)
        (self.directory / "cores").chmod(0o777)
        worker = subprocess.Popen([binary("gristmill-worker"), "--coordinator", "tcp://127.0.0.1:1",
                                   "--endpoint", "http://127.0.0.1:9/v1", "--model", "m",
                                   "--api-key-env", "THE_KEY"], cwd=self.directory / "cores",
                                  env={**os.environ, "THE_KEY": KEY}, stderr=subprocess.PIPE, text=True,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
        self.addCleanup(worker.kill)
        worker.stderr.readline()  # nobody answers at …: it has begun
        worker.send_signal(signal.SIGABRT)
        worker.communicate(timeout=PATIENCE_S)
        self.assertEqual(list((self.directory / "cores").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
