"""Training steps and inference of calvaria's networks in PyTorch, on the CPU or a GPU.

    python torch_step.py MODEL N D H W [--filters F] [--levels L] [--norm batch] [--steps 10] [--precision f32|tf32|bf16]
                         [--device cpu] [--threads 2] [--channels-last]

MODEL is article, unet (five levels unless told) or nnunet (six, strided convolutions, leaky ReLU, deep supervision),
all with Dice and cross-entropy and Adam. cuDNN's benchmark mode; bf16 by autocast (weights stay f32). Prints
JSON with the keys of `calvaria bench --json`; the peak is that of the process, in training.
"""
import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

ap = argparse.ArgumentParser()
ap.add_argument("model", choices=["article", "unet", "nnunet"])
ap.add_argument("shape", type=int, nargs=4, metavar="N D H W")
ap.add_argument("--filters", type=int)
ap.add_argument("--levels", type=int)
ap.add_argument("--norm", default="instance", choices=["batch", "instance"])
ap.add_argument("--steps", type=int, default=10)
ap.add_argument("--precision", default="f32", choices=["f32", "tf32", "bf16"])
ap.add_argument("--device", default="cpu")
ap.add_argument("--threads", type=int)
ap.add_argument("--channels-last", action="store_true")
A = ap.parse_args()

torch.manual_seed(0)
if A.threads:
    torch.set_num_threads(A.threads)
torch.backends.cudnn.benchmark = True
tf32 = A.precision == "tf32"
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
device = torch.device(A.device)
memory_format = torch.channels_last_3d if A.channels_last else torch.contiguous_format


def norm(o):
    return nn.BatchNorm3d(o) if A.norm == "batch" else nn.InstanceNorm3d(o, affine=True)


class Article(nn.Module):
    """The published network as its Keras code computes it: one convolution a block."""

    def __init__(self, f=16):
        super().__init__()

        def block(i, o):
            return nn.Sequential(nn.Conv3d(i, o, 3, padding=1), nn.BatchNorm3d(o, 1e-3, 0.01), nn.ReLU())
        c = [f << k for k in range(5)]
        self.down = nn.ModuleList(block(i, o) for i, o in zip([1] + c, c[:4]))
        self.mid = nn.Sequential(block(c[3], c[4]), block(c[4], c[4]))
        self.up = nn.ModuleList(nn.ConvTranspose3d(c[k + 1], c[k], 3, 2) for k in (3, 2, 1, 0))
        self.dec = nn.ModuleList(block(2 * c[k], c[k]) for k in (3, 2, 1, 0))
        self.head = nn.Conv3d(f, 1, (1, 1, 2))
        self.drop = nn.Dropout(0.05)

    def forward(self, x):
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = self.drop(F.max_pool3d(x, 2))
        x = self.mid(x)
        for up, dec in zip(self.up, self.dec):
            x = F.relu(up(x)[:, :, :-1, :-1, :-1])
            x = dec(self.drop(torch.cat([x, skips.pop()], 1)))
        return [self.head(F.pad(x, (0, 1)))]


class Unet(nn.Module):
    def __init__(self, f=16, levels=5):
        super().__init__()

        def block(i, o):
            return nn.Sequential(*(m for a in (i, o) for m in (nn.Conv3d(a, o, 3, padding=1, bias=False), norm(o), nn.ReLU())))
        c = [min(f << k, 320) for k in range(levels)]
        self.enc = nn.ModuleList(block(i, o) for i, o in zip([1] + c, c))
        steps = range(levels - 2, -1, -1)
        self.up = nn.ModuleList(nn.ConvTranspose3d(c[k + 1], c[k], 2, 2) for k in steps)
        self.dec = nn.ModuleList(block(2 * c[k], c[k]) for k in steps)
        self.head = nn.Conv3d(f, 1, 1)

    def forward(self, x):
        skips = []
        for k, enc in enumerate(self.enc):
            x = enc(F.max_pool3d(x, 2) if k else x)
            skips.append(x)
        x = skips.pop()
        for up, dec in zip(self.up, self.dec):
            x = dec(torch.cat([up(x), skips.pop()], 1))
        return [self.head(x)]


class Nnunet(nn.Module):
    def __init__(self, f=32, levels=6):
        super().__init__()

        def row(i, o, stride):
            return nn.Sequential(*(m for a, s in ((i, stride), (o, 1)) for m in (
                nn.Conv3d(a, o, 3, stride=s, padding=1, bias=False), norm(o), nn.LeakyReLU(0.01))))
        c = [min(f << k, 320) for k in range(levels)]
        self.enc = nn.ModuleList(row(i, o, 2 if k else 1) for k, (i, o) in enumerate(zip([1] + c, c)))
        steps = range(levels - 2, -1, -1)
        self.up = nn.ModuleList(nn.ConvTranspose3d(c[k + 1], c[k], 2, 2) for k in steps)
        self.dec = nn.ModuleList(row(2 * c[k], c[k], 1) for k in steps)
        self.heads = nn.ModuleList(nn.Conv3d(c[k], 1, 1) for k in steps)

    def forward(self, x):
        skips = []
        for enc in self.enc:
            x = enc(x)
            skips.append(x)
        x = skips.pop()
        outputs = []
        for up, dec, head in zip(self.up, self.dec, self.heads):
            x = dec(torch.cat([up(x), skips.pop()], 1))
            outputs.append(head(x))
        return outputs[::-1]


def single(z, t):
    p = torch.sigmoid(z)
    i = (p * t).sum((2, 3, 4))
    dice = 1 - (2 * i + 1e-5) / (p.sum((2, 3, 4)) + t.sum((2, 3, 4)) + 1e-5)
    return dice.mean() + F.binary_cross_entropy_with_logits(z, t)


def loss_fn(outputs, t):
    weights = [0.5 ** k for k in range(max(1, len(outputs) - 1))]
    return sum(w / sum(weights) * single(z.float(), t[:, :, ::2 ** k, ::2 ** k, ::2 ** k])
               for k, (w, z) in enumerate(zip(weights, outputs)))


def wait():
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def mixed():
    return torch.autocast(device.type, torch.bfloat16, enabled=A.precision == "bf16")


network = {"article": Article, "unet": Unet, "nnunet": Nnunet}[A.model]
given = {"f": A.filters, "levels": A.levels}
m = network(**{key: value for key, value in given.items() if value}).to(device, memory_format=memory_format)
x = torch.randn(A.shape[0], 1, *A.shape[1:], device=device).to(memory_format=memory_format)
t = (x > 0.5).float()
opt = torch.optim.Adam(m.parameters(), 1e-3)
forward, backward, inference, losses = [], [], [], []
for _ in range(A.steps + 1):
    t0 = time.perf_counter()
    with mixed():
        outputs = m(x)
    loss = loss_fn(outputs, t)
    losses.append(loss.item())
    t1 = time.perf_counter()
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    wait()
    forward.append(t1 - t0)
    backward.append(time.perf_counter() - t1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
m.eval()
with torch.no_grad(), mixed():
    for _ in range(A.steps + 1):
        t0 = time.perf_counter()
        m(x)[0].sum().item()
        inference.append(time.perf_counter() - t0)
steps = [a + b for a, b in zip(forward, backward)]
print(json.dumps({
    "torch": torch.__version__, "device": A.device, "model": A.model, "precision": A.precision,
    "parameters": sum(p.numel() for p in m.parameters()), "first_step": steps[0],
    "forward": statistics.median(forward[1:]), "backward": statistics.median(backward[1:]), "step": statistics.median(steps[1:]),
    "first_inference": inference[0], "inference": statistics.median(inference[1:]), "losses": losses,
    "peak_mib": peak}))
