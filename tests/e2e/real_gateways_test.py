"""Gateways as they are: haproxy with a queue that times out, nginx with a limit of calls a second,
each before a healthy server. Witness is the gateway's own log.
"""
import collections
import re
import socket
import unittest

from harness import EndToEnd, write_batch

ITEMS = 300


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Gateway(EndToEnd):
    def begin(self, command, port, label):
        process = self.start_command(command, label)

        def listens():
            self.assertIsNone(process.popen.poll(), process.stderr())
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self.until(f"{label} to listen", listens)
        return f"http://127.0.0.1:{port}/v1"

    def run_through(self, url, count, *options):
        self.runs = getattr(self, "runs", 0) + 1
        source = self.directory / f"in-{self.runs}.jsonl"
        output = self.directory / f"out-{self.runs}.jsonl"
        write_batch(source, count)
        done = self.gristmill("run", source, "--endpoint", url, "-o", output, *options)
        self.check_result(output, count)
        return done


class Haproxy(Gateway):
    def test_a_queue_that_times_out_loses_nothing_and_costs_little(self):
        server = self.server("--latency", "1s")
        port, host = free_port(), server.url.removeprefix("http://").removesuffix("/v1")
        log = self.directory / "haproxy.log"
        config = self.directory / "haproxy.cfg"
        config.write_text(f"""global
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout queue 3s
  log global
  log-format "%Ts.%ms %ST %Tr"
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server only {host} maxconn 4
""")
        command = ["sh", "-c", 'exec haproxy -db -f "$0" >"$1"', str(config), str(log)]
        self.run_through(self.begin(command, port, "haproxy"), ITEMS)
        lines = [line.split() for line in log.read_text().splitlines()
                 if re.match(r"\d+\.\d+ \d+ ", line)]
        ends = [(float(at), int(status)) for at, status, _ in lines]
        begin, last = ends[0][0] - 1, ends[-1][0]
        later = [status for at, status in ends if at >= begin + 10]
        print(f"haproxy: {last - begin:.1f} s, ideal {ITEMS / 4} s; after 10 s "
              f"{collections.Counter(later)}; in all {collections.Counter(s for _, s in ends)}")
        self.assertLessEqual(len(later), 1.3 * later.count(200))
        self.assertLessEqual(last - begin, 1.3 * ITEMS / 4)


class Nginx(Gateway):
    def through_nginx(self, refusal, *options, count=ITEMS, latency="200ms"):
        number = getattr(self, "runs", 0)
        server = self.server("--latency", latency, label=f"simllm-{number}")
        port, host = free_port(), server.url.removeprefix("http://").removesuffix("/v1")
        log, config = self.directory / f"nginx-{number}.log", self.directory / f"nginx-{number}.conf"
        config.write_text(f"""daemon off;
master_process off;
pid {self.directory}/nginx-{number}.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  limit_req_zone all zone=calls:1m rate=10r/s;
  log_format times "$msec $status";
  access_log {log} times;
  client_body_temp_path {self.directory}/body;
  proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/fastcgi;
  uwsgi_temp_path {self.directory}/uwsgi;
  scgi_temp_path {self.directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /v1/chat/ {{
      limit_req zone=calls burst=10 nodelay;
      {refusal}
      proxy_pass http://{host};
    }}
    location / {{ return 404; }}
  }}
}}
""")
        url = self.begin(["nginx", "-p", str(self.directory), "-c", str(config)], port, f"nginx-{number}")
        self.run_through(url, count, *options)
        calls = [line.split() for line in log.read_text().splitlines()]
        calls = [(float(at), int(status)) for at, status in calls if status != "404"]
        begin, last = calls[0][0], calls[-1][0]
        later = [status for at, status in calls if at >= begin + 10]
        rate = later.count(200) / (last - begin - 10)
        print(f"nginx {refusal or '503'} {options}: after 10 s {rate:.2f} calls/s of 10, "
              f"{collections.Counter(later)}; in all {collections.Counter(s for _, s in calls)}")
        return rate, later, [status for _, status in calls]

    def test_within_a_limit_that_was_said_nothing_is_refused(self):
        for workers in (1, 3):
            rate, _, every = self.through_nginx("limit_req_status 429;", "--rpm", 600, "--workers",
                                                workers)
            self.assertEqual(set(every), {200})
            self.assertGreaterEqual(rate, 9.8)

    def test_a_limit_is_learned_from_429(self):
        rate, later, _ = self.through_nginx("limit_req_status 429;")
        self.assertGreaterEqual(rate, 9.7)
        self.assertLessEqual(len(later) - later.count(200), 0.03 * len(later))

    def test_a_limit_is_learned_from_503(self):
        rate, later, _ = self.through_nginx("", "--rpm", 6_000)
        self.assertGreaterEqual(rate, 9.7)
        self.assertLessEqual(len(later) - later.count(200), 0.03 * len(later))


if __name__ == "__main__":
    unittest.main(verbosity=2)
