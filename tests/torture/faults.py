"""What may befall a cluster, or a `gristmill run`: each fault applies itself and lasts as long as it
drew; the caller heals. Lengths are part of the fault, not a wait for anything.

A function takes (scene, rng). `scene.lost()` notes the journal of the moment at which calls in
flight were, or may have been, lost.
"""
import signal
import time

from cluster import WORKERS


def last(rng, most_s=1.0):
    time.sleep(rng.uniform(0, most_s))


# ---- deaths ------------------------------------------------------------------------------------------

def kill_coordinator(scene, rng):
    scene.cluster.coordinator.kill()
    scene.lost()
    last(rng, 0.3)


def kill_worker(scene, rng):
    # The coordinator stands still meanwhile, so that its journal is that of the moment of death.
    scene.cluster.coordinator.stop()
    for worker in rng.sample(scene.cluster.workers, rng.choice([1, 1, 1, 2, 3])):
        worker.kill()
    scene.lost()
    scene.cluster.coordinator.go_on()
    last(rng, 0.3)


def kill_both(scene, rng):
    scene.cluster.coordinator.kill()
    rng.choice(scene.cluster.workers).kill()
    scene.lost()


def kill_early(scene, rng):
    """Within 50 ms of its start, again and again."""
    for _ in range(rng.randint(1, 3)):
        member = rng.choice(scene.cluster.members())
        if member is scene.cluster.coordinator:
            member.kill()
            scene.lost()
        else:
            scene.cluster.coordinator.stop()
            member.kill()
            scene.lost()
            scene.cluster.coordinator.go_on()
        member.start()
        last(rng, 0.05)
        if member is not scene.cluster.coordinator:
            continue
        member.kill()
        scene.lost()
        member.start()
        member.process.ready()


def kill_draining(scene, rng):
    member = rng.choice(scene.cluster.members())
    member.signal(signal.SIGTERM)
    last(rng, 0.1)
    if member is not scene.cluster.coordinator:
        scene.cluster.coordinator.stop()
    member.kill()
    scene.lost()
    if member is not scene.cluster.coordinator:
        scene.cluster.coordinator.go_on()


def drain(scene, rng):
    """No death: what a drained worker does is lost to nobody, so nothing may be called again."""
    worker = rng.choice(scene.cluster.workers)
    worker.signal(signal.SIGTERM)
    scene.expect_exit(worker, 0)


def kill_behind_a_pause(scene, rng):
    """The coordinator dies while a worker does not hear it."""
    rng.choice(scene.cluster.proxies).hurt(rng.choice(["pause", "blackhole"]), "both")
    last(rng, 0.3)
    kill_coordinator(scene, rng)


# ---- standstill ----------------------------------------------------------------------------------------

def stop_coordinator(scene, rng):
    scene.cluster.coordinator.stop()
    last(rng, scene.longest_s)
    scene.lost_if_long()


def stop_worker(scene, rng):
    rng.choice(scene.cluster.workers).stop()
    last(rng, scene.longest_s)
    scene.lost_if_long()


# ---- the way between them ------------------------------------------------------------------------------

def proxy_fault(kind, amount=0):
    def fault(scene, rng):
        for proxy in rng.sample(scene.cluster.proxies, rng.randint(1, WORKERS)):
            proxy.hurt(kind, rng.choice(["up", "down", "both"]), amount)
        last(rng, scene.longest_s)
        scene.lost_if_long()
    fault.__name__ = kind
    return fault


def swizzle(scene, rng):
    """The links go one by one, and come back in another order."""
    proxies = rng.sample(scene.cluster.proxies, WORKERS)
    for proxy in proxies:
        proxy.hurt("blackhole", rng.choice(["up", "down", "both"]))
        last(rng, 0.3)
    for proxy in rng.sample(proxies, WORKERS):
        proxy.heal()
        last(rng, 0.3)


# ---- the server ----------------------------------------------------------------------------------------

def server_fault(name, *faults):
    def fault(scene, rng):
        scene.job.server.change(faults=[text.format(rate=rng.choice([0.02, 0.1, 0.5]),
                                                    first=rng.randint(1, 4)) for text in faults])
        last(rng)
        scene.job.server.change(faults=[])
    fault.__name__ = name
    return fault


SERVER = [
    (4, server_fault("server_errors", "status:code=500,rate={rate}", "overload:rate=0.02")),
    (4, server_fault("too_many", "status:code=429,retry_after=0.3,rate={rate}")),
    (6, server_fault("die_after_read", "die_after_read:rate={rate}")),
    (3, server_fault("reset", "reset:rate={rate}")),
    (3, server_fault("hang", "hang:first={first}")),
    (3, server_fault("nonsense", "truncated:rate={rate}", "malformed:rate=0.1", "html:rate=0.1",
                     "empty:rate=0.1")),
]
KILLS = [(8, kill_coordinator), (8, kill_worker), (4, kill_both)]
CLUSTER = KILLS + SERVER + [
    (3, kill_early), (3, kill_draining), (2, drain), (3, kill_behind_a_pause), (5, stop_coordinator),
    (5, stop_worker), (2, swizzle), (6, proxy_fault("blackhole")), (4, proxy_fault("rst")),
    (2, proxy_fault("cut")), (2, proxy_fault("deaf")), (3, proxy_fault("trickle", 2_000)),
    (3, proxy_fault("delay", 100)), (5, proxy_fault("pause")), (2, proxy_fault("flip")),
    (2, proxy_fault("truncate")),
]


# ---- gristmill run -------------------------------------------------------------------------------------

def run_kill(scene, rng):
    scene.job.process.kill()
    scene.job.killed()


def run_kill_early(scene, rng):
    for _ in range(rng.randint(1, 3)):
        scene.job.process.kill()
        scene.job.killed()
        if scene.job.over():
            return
        scene.job.process.start()
        last(rng, 0.05)
    run_kill(scene, rng)


def run_kill_draining(scene, rng):
    scene.job.process.signal(rng.choice([signal.SIGINT, signal.SIGTERM]))
    last(rng, 0.1)
    run_kill(scene, rng)


def run_stop(scene, rng):
    scene.job.process.stop()
    last(rng, 0.5)
    scene.job.process.go_on()


RUN_KILLS = [(1, run_kill)]
RUN = SERVER + [(12, run_kill), (5, run_kill_early), (5, run_kill_draining), (4, run_stop)]


def draw(rng, table):
    return rng.choices([fault for _, fault in table], [weight for weight, _ in table])[0]
