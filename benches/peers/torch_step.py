"""One training step of a plain double-conv 3-D U-Net in torch.

    python torch_step.py N D H W F [--threads 2] [--iters 3] [--channels-last]

5 levels, filters F, 2F .. 16F (320 at most), conv-BN-ReLU twice per level, max-pool 2,
2x2x2 transposed conv up, 1x1x1 head, loss Dice + BCE on logits, Adam 1e-3.
Prints JSON: median seconds of forward (with loss), backward + optimizer step,
inference (eval, no_grad), and peak resident memory.
"""
import argparse
import json
import os
import resource
import statistics
import time

ap = argparse.ArgumentParser()
ap.add_argument("shape", type=int, nargs=5, metavar="N D H W F")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--iters", type=int, default=3)
ap.add_argument("--channels-last", action="store_true")
A = ap.parse_args()

import torch
import torch.nn as nn
import torch.nn.functional as F

n, d, h, w, f = A.shape
torch.set_num_threads(A.threads)
torch.manual_seed(0)


def block(i, o):
    return nn.Sequential(nn.Conv3d(i, o, 3, padding=1, bias=False), nn.BatchNorm3d(o), nn.ReLU(),
                         nn.Conv3d(o, o, 3, padding=1, bias=False), nn.BatchNorm3d(o), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, f):
        super().__init__()
        c = [min(f << k, 320) for k in range(5)]  # as in nnU-Net
        self.enc = nn.ModuleList(block(i, o) for i, o in zip([1] + c, c))
        self.up = nn.ModuleList(nn.ConvTranspose3d(c[k + 1], c[k], 2, 2) for k in (3, 2, 1, 0))
        self.dec = nn.ModuleList(block(2 * c[k], c[k]) for k in (3, 2, 1, 0))
        self.head = nn.Conv3d(f, 1, 1)

    def forward(self, x):
        skips = []
        for k, e in enumerate(self.enc):
            x = e(x)
            if k < 4:
                skips.append(x)
                x = F.max_pool3d(x, 2)
        for u, dd in zip(self.up, self.dec):
            x = dd(torch.cat([u(x), skips.pop()], 1))
        return self.head(x)


def loss_fn(z, t):
    p = torch.sigmoid(z)
    i = (p * t).sum((2, 3, 4))
    dice = 1 - (2 * i + 1e-5) / (p.sum((2, 3, 4)) + t.sum((2, 3, 4)) + 1e-5)
    return dice.mean() + F.binary_cross_entropy_with_logits(z, t)


m = UNet(f)
x = torch.randn(n, 1, d, h, w)
t = (x > 0.5).float()
if A.channels_last:
    m, x = m.to(memory_format=torch.channels_last_3d), x.to(memory_format=torch.channels_last_3d)
opt = torch.optim.Adam(m.parameters(), 1e-3)
fw, bw, inf, losses = [], [], [], []
for it in range(A.iters + 1):
    t0 = time.perf_counter()
    loss = loss_fn(m(x), t)
    losses.append(loss.item())
    t1 = time.perf_counter()
    opt.zero_grad()
    loss.backward()
    opt.step()
    t2 = time.perf_counter()
    if it:  # the first is a warm-up
        fw.append(t1 - t0), bw.append(t2 - t1)
train_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20
m.eval()
with torch.no_grad():
    for it in range(max(2, A.iters)):
        t0 = time.perf_counter()
        m(x).sum().item()
        inf.append(time.perf_counter() - t0)
r = {"torch": torch.__version__, "shape": A.shape, "threads": A.threads, "channels_last": A.channels_last,
     "parameters": sum(p.numel() for p in m.parameters()), "forward_s": round(statistics.median(fw), 4),
     "backward_and_step_s": round(statistics.median(bw), 4), "step_s": round(statistics.median(a + b for a, b in zip(fw, bw)), 4),
     "inference_s": round(statistics.median(inf[1:]), 4), "peak_rss_gib": round(train_rss, 2), "losses": [round(v, 5) for v in losses],
     "load_average": round(os.getloadavg()[0], 2)}
print(json.dumps(r))
