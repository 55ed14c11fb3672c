"""Two machines: network namespaces with addresses of their own, joined by one cable. The coordinator
is on one, the worker and its inference server on the other.
"""
import json
import os
import subprocess
import sys
import unittest

from harness import PATIENCE_S, EndToEnd, binary, write_batch

HEAD, GPU = "10.77.0.1", "10.77.0.2"


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


class TwoMachines(EndToEnd):
    def setUp(self):
        super().setUp()
        # Names of this process alone, so that nothing of anybody else's is ever removed.
        self.head, self.gpu = f"gm-head-{os.getpid()}", f"gm-gpu-{os.getpid()}"
        self.addCleanup(self.unplug)
        cable = [f"gm-h-{os.getpid() % 100_000}", f"gm-g-{os.getpid() % 100_000}"]
        steps = [["netns", "add", self.head], ["netns", "add", self.gpu],
                 ["link", "add", cable[0], "netns", self.head, "type", "veth", "peer", "name", cable[1],
                  "netns", self.gpu]]
        for machine, device, address in ((self.head, cable[0], HEAD), (self.gpu, cable[1], GPU)):
            steps += [["-n", machine, "addr", "add", f"{address}/24", "dev", device],
                      ["-n", machine, "link", "set", device, "up"],
                      ["-n", machine, "link", "set", "lo", "up"]]
        for step in steps:
            done = ip(*step)
            if done.returncode != 0:
                self.fail(f"expected to be allowed `ip {' '.join(step)}`, got {done.stderr.strip()}; this "
                          "test needs root and network namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)")

    def unplug(self):
        # Cables go with their namespaces, and those when their last process has ended.
        for machine in (self.head, self.gpu):
            ip("netns", "delete", machine)

    def start_on(self, machine, name, *arguments, label):
        """A process on that machine; `ip netns exec` becomes the program, so its id is the program's."""
        return self.start_command(["ip", "netns", "exec", machine, binary(name), *map(str, arguments)],
                                  label)

    def on(self, machine, *arguments, check=0, env=None):
        done = subprocess.run(["ip", "netns", "exec", machine, binary("gristmill"), *map(str, arguments)],
                              capture_output=True, text=True, timeout=PATIENCE_S,
                              env={**os.environ, **(env or {})})
        self.assertEqual(done.returncode, check, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def keygen(self, name):
        keys = self.directory / name
        self.gristmill("keygen", keys, "--address", f"tcp://{HEAD}:7411")
        return keys

    def start_coordinator(self, keys, *arguments):
        coordinator = self.start_on(self.head, "gristmill-coordinator", "--keys", keys, "--listen",
                                    "tcp://0.0.0.0:7411", "--http", f"{HEAD}:0", "--http-plain",
                                    "--state", self.directory / "state", *arguments,
                                    label="coordinator")
        coordinator.http = coordinator.ready()["http"]
        return coordinator

    def start_server(self):
        """On the worker's machine, on loopback: nobody else reaches it."""
        server = self.start_on(self.gpu, "gristmill-simllm", "--listen", "127.0.0.1:0", "--model", "local",
                               "--log", self.directory / "simllm.log", label="simllm")
        server.url = server.ready()["url"]
        return server

    def start_worker(self, access, name, *arguments):
        return self.start_on(self.gpu, "gristmill-worker", "--access", access, "--name", name,
                             *arguments, label=name)

    def test_a_job_runs_on_the_other_machine_with_the_keys_that_were_made(self):
        keys = self.keygen("keys")
        coordinator = self.start_coordinator(keys)
        server = self.start_server()
        self.start_worker(keys / "worker.access", "gpu", "--endpoint", server.url, "--model",
                          "local").ready()
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 2_000)
        token = {"GRISTMILL_TOKEN": (keys / "client.token").read_text().strip()}
        job = ["submit", source, "-m", "local", "--server", coordinator.http, "--wait", "-o", output]
        refused = self.on(self.head, *job, check=2)
        self.assertIn("GRISTMILL_TOKEN", refused.stderr)
        self.on(self.head, *job, env=token)
        self.check_result(output, 2_000)
        self.assertEqual(server.end(), 0) # which writes its log out
        self.assertEqual(len((self.directory / "simllm.log").read_text().splitlines()), 2_000)
        # Whoever has the token may ask from the other machine too.
        shown = self.on(self.gpu, "workers", "--json", "--server", coordinator.http, env=token).stdout
        self.assertEqual([worker["name"] for worker in json.loads(shown)["workers"]], ["gpu"])

    def test_a_worker_with_keys_of_another_cluster_or_none_stays_outside(self):
        keys, others = self.keygen("keys"), self.keygen("others")
        coordinator = self.start_coordinator(keys)
        stranger = self.start_worker(others / "worker.access", "stranger")
        naked = self.start_on(self.gpu, "gristmill-worker", "--coordinator", f"tcp://{HEAD}:7411",
                              label="naked")
        self.assertEqual(naked.wait(), 2)
        self.assertIn("--access", naked.stderr())
        self.until("the stranger to say why it is outside", lambda: "link.down" in stranger.stderr())
        self.start_worker(keys / "worker.access", "friend").ready()
        token = {"GRISTMILL_TOKEN": (keys / "client.token").read_text().strip()}
        shown = self.on(self.head, "workers", "--json", "--server", coordinator.http, env=token).stdout
        self.assertEqual([worker["name"] for worker in json.loads(shown)["workers"]], ["friend"])
        self.assertIsNone(stranger.popen.poll(), "it keeps trying")

    def test_another_machine_has_as_many_connections_as_told(self):
        coordinator = self.start_coordinator(self.keygen("keys"), "--http-per-address", "3")
        port = coordinator.http.rsplit(":", 1)[1]
        # Each asks for health, one after the other, and all stay; says what each was answered.
        program = (f"import socket\nkept = []\nfor _ in range(5):\n"
                   f"    kept.append(socket.create_connection(('{HEAD}', {port}), 60))\n"
                   "    try:\n"
                   "        kept[-1].sendall(b'GET /healthz HTTP/1.1\\r\\nHost: any\\r\\n\\r\\n')\n"
                   "        print(kept[-1].recv(12)[9:].decode(), end=' ')\n"
                   "    except ConnectionError:\n"
                   "        print('', end=' ')\n")
        def answers_on(machine):
            return subprocess.run(["ip", "netns", "exec", machine, sys.executable, "-c", program],
                                  capture_output=True, text=True, timeout=PATIENCE_S,
                                  check=True).stdout.split()
        self.assertEqual(answers_on(self.gpu), ["200"] * 3)
        self.until("their places to be free again", lambda: answers_on(self.gpu) == ["200"] * 3)

    def test_without_keys_only_loopback_is_listened_on(self):
        for option, address in (("--listen", f"tcp://{HEAD}:7411"), ("--listen", "tcp://0.0.0.0:7411"),
                                ("--http", f"{HEAD}:7412"), ("--http", "0.0.0.0:7412")):
            other = {"--listen": ["--http", "127.0.0.1:0"], "--http": ["--listen", "tcp://127.0.0.1:0"]}
            refused = self.start_on(self.head, "gristmill-coordinator", option, address, *other[option],
                                    "--state", self.directory / "state", label="open-" + address.replace("/", ""))
            self.assertEqual(refused.wait(), 2)
            self.assertEqual(len(refused.stderr().splitlines()), 1, refused.stderr())
            self.assertIn("gristmill keygen", refused.stderr())
            self.assertIn("--keys", refused.stderr())
            self.assertFalse((self.directory / "state").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
