"""What deploy/ has for Prometheus and Grafana is right: each alert rings when it should, the configuration loads,
and each panel of the dashboard shows something of a coordinator at work, read by a real Prometheus.
"""
import json
import subprocess
import unittest
import urllib.parse
import urllib.request

from debian_tools import unpacked
from harness import ROOT, EndToEnd, write_batch
from scripted_server import free_port

DEPLOYED = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "gristmill.json"


def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def queries():
    """(panel's title, query), with all that one may choose chosen, and windows for a scrape each 200 ms."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"].replace("$instance", ".*").replace("$job", ".*")
            yield panel["title"], query.replace("$__rate_interval", "3s")


class Prometheus(EndToEnd):
    def promtool(self, *arguments, cwd=None):
        done = subprocess.run([unpacked("prometheus") / "usr/bin/promtool", *arguments], cwd=cwd,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_configuration_and_alerts(self):
        self.promtool("check", "config", "prometheus.yml", cwd=DEPLOYED)
        self.promtool("test", "rules", "alerts_test.yml", cwd=DEPLOYED)
        rules, tests = ((DEPLOYED / name).read_text() for name in ("alerts.yml", "alerts_test.yml"))
        names = [line.split(": ")[1] for line in rules.splitlines() if "- alert: " in line]
        self.assertGreater(len(names), 5)
        for name in names:
            self.assertIn(f"- alertname: {name}\n", tests)

    def prometheus(self, node):
        """One that scrapes the node with our own configuration, five times a second; its URL."""
        config = (DEPLOYED / "prometheus.yml").read_text()
        changed = config.replace("127.0.0.1:7412", node.http.removeprefix("http://"))
        changed = changed.replace(": 15s", ": 200ms")
        self.assertNotEqual(changed, config)
        (self.directory / "prometheus.yml").write_text(changed)
        (self.directory / "alerts.yml").write_text((DEPLOYED / "alerts.yml").read_text())
        url = f"http://127.0.0.1:{free_port()}"
        self.start_command([unpacked("prometheus") / "usr/bin/prometheus",
                            f"--config.file={self.directory}/prometheus.yml",
                            f"--storage.tsdb.path={self.directory}/tsdb",
                            f"--web.listen-address={url.removeprefix('http://')}"], "prometheus")

        def is_ready():
            try:
                return urllib.request.urlopen(f"{url}/-/ready", timeout=10).status == 200
            except OSError:
                return False
        self.until("Prometheus to be ready", is_ready)
        return url

    def asked(self, url, query):
        """The samples that answer a query: (labels, value)."""
        address = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return [(of["metric"], float(of["value"][1])) for of in json.load(answer)["data"]["result"]]

    def test_each_panel_shows_a_cluster_at_work(self):
        server = self.server("--latency", "50ms", "--slots", "4", "--fault", "status:code=500,rate=0.1")
        config = self.directory / "gristmill.toml"
        config.write_text(f'[[pool]]\nmodel = "sim-small"\nprice_input = 1\nprice_output = 1\n'
                          f'[[pool.endpoint]]\nurl = "{server.url}"\nrequests_per_minute = 100000\n'
                          f'metrics_url = "{server.url.removesuffix("/v1")}/metrics"\n')
        node = self.coordinator("--config", config)
        self.worker(node, "w", "--concurrency", "8")
        source = self.directory / "in.jsonl"
        write_batch(source, 20_000)
        submit = ("submit", source, "--server", node.http)
        job = self.gristmill(*submit, "--budget-usd", "100", "--max-tokens", "20").stdout.strip()
        waiting = self.gristmill(*submit, "--endpoint", f"http://127.0.0.1:{free_port()}/v1").stdout.strip()
        url = self.prometheus(node)
        for title, query in queries():
            if title == "Jobs paused":
                self.assertEqual([value for _, value in self.asked(url, query)], [0])
                continue
            self.until(f"{title} to show something: {query}", lambda query=query: any(
                value > 0 for _, value in self.asked(url, query)))
        # A job is the label "job", as the documents say, and not "exported_job".
        labels = {of["job"] for of, _ in self.asked(url, "gristmill_job_items")}
        self.assertEqual(labels, {job, waiting})

    def test_an_alert_rings(self):
        node = self.coordinator()
        url = self.prometheus(node)
        node.kill()

        def pending():
            with urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=10) as answer:
                return [alert["labels"]["alertname"] for alert in json.load(answer)["data"]["alerts"]]
        self.until("the alert to be pending", lambda: pending() == ["GristmillDown"])

    def test_panels_have_a_place_and_a_title_each(self):
        places = set()
        for panel in panels():
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(places & cells, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            places |= cells
        titles = [panel["title"] for panel in panels()]
        self.assertEqual(len(set(titles)), len(titles))


if __name__ == "__main__":
    unittest.main()
