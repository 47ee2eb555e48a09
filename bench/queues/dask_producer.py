"""The Dask client of bench/dispatch.ts: a JSON line in for each question, one out for its answer."""

import json
import sys
import time

from distributed import Client, wait


def noop(n):
    return None


def many(client, tasks):
    """Submits so many tasks and waits until all have ended; no result is fetched."""
    began = time.perf_counter()
    wait(client.map(noop, range(tasks), pure=False))
    return {"ms": (time.perf_counter() - began) * 1000}


def single(client, tasks):
    """One task after another, each awaited."""
    times = []
    for n in range(tasks):
        began = time.perf_counter()
        client.submit(noop, n, pure=False).result()
        times.append((time.perf_counter() - began) * 1000)
    return {"times": times}


def main():
    scheduler, workers = sys.argv[1], int(sys.argv[2])
    with Client(scheduler_file=scheduler, timeout=60) as client:
        client.wait_for_workers(workers, timeout=60)
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            question = json.loads(line)
            ask = {"many": many, "single": single}[question["ask"]]
            print(json.dumps(ask(client, question["tasks"])), flush=True)


main()
