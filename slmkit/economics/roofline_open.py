"""An open loop: requests arrive at a rate, whatever the answers take. How many are in flight, and how fast is each?"""

from __future__ import annotations

import numpy as np

from slmkit.economics.roofline import MAX_BATCH, predict
from slmkit.errors import InputError

HALVINGS = 40


def predict_open(arch, gpu, *, requests_s, output_tokens, **deployment) -> dict[str, np.ndarray]:
    """`roofline.predict` where `requests_s` requests arrive each second; takes its keywords but for `concurrency`.

    By Little's law N requests are in flight when a closed loop of N yields the arriving rate; throughput grows with
    N, so that halving an interval of ln N finds it. Adds `concurrency` (N), `load` (rate over the largest rate that
    memory allows) and `stable`: False where more arrives than is served, whose row is that of the largest rate, its
    queue without end (`ttft_s` infinite). InputError for a rate that isn't above 0.
    """
    rate = np.asarray(requests_s, float)
    if not (rate > 0).all():
        raise InputError(f"requests_s is {np.min(rate):g}; it must be above 0")
    n_out = np.asarray(output_tokens, float)
    full = predict(arch, gpu, output_tokens=output_tokens, **deployment)
    load = rate * n_out / full["out_tok_s_total"]
    low = np.zeros_like(load)
    high = np.log(np.minimum(full["batch"], MAX_BATCH * 8)) + low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = predict(arch, gpu, output_tokens=output_tokens, concurrency=np.exp(middle), **deployment)
        enough = found["out_tok_s_total"] >= rate * n_out
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found = predict(arch, gpu, output_tokens=output_tokens, concurrency=np.exp(high), **deployment)
    stable = load < 1
    in_flight = np.where(stable, rate * (found["ttft_floor_s"] + n_out * found["tpot_s"]), np.exp(high))
    busy = np.minimum(rate * n_out / found["out_tok_s_total"], 1)  # below one request in flight the GPU idles between
    flows = ("out_tok_s_total", "out_tok_s_per_gpu", "in_tok_s_total", "compute_share", "memory_share")
    return (
        found
        | {name: found[name] * busy for name in flows}
        | {
            "ttft_s": np.where(stable, found["ttft_floor_s"], np.inf),  # arrivals one by one: no burst starts them
            "concurrency": np.minimum(in_flight, np.exp(high)),
            "load": load,
            "stable": stable,
        }
    )
