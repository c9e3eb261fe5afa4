"""A PyTorch checkpoint as a safetensors file, from which training can start:

    pip install torch safetensors
    python examples/pth_to_safetensors.py checkpoint_final.pth weights.safetensors
    calvaria run EXPERIMENT --set 'init={weights: weights.safetensors, skip: [decoder.heads]}'

The weights are looked for where nnU-Net (`network_weights`) and MONAI's programs (`state_dict`, `model`) keep them, or are the whole
file.  Names stay as they are: calvaria reads its own and nnU-Net's (PlainConvUNet as `nnunet`, ResidualEncoderUNet as `resenc_unet`).
The file is read without running what may be pickled in it; checkpoints that hold other objects beside their weights need
--trusted.
"""
import argparse
import sys

import torch
from safetensors.torch import save_file

KEYS = ("network_weights", "state_dict", "model")


def weights(checkpoint):
    for key in KEYS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    found = {}
    if isinstance(checkpoint, dict):
        found = {name: value for name, value in checkpoint.items() if isinstance(value, torch.Tensor)}
    if not found:
        sys.exit(f"there are no tensors in it, nor under {', '.join(KEYS)}")
    # A model that was trained on several GPUs.
    return {name.removeprefix("module."): tensor.detach().cpu().contiguous().clone() for name, tensor in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("safetensors")
    parser.add_argument("--trusted", action="store_true", help="also run code that is pickled in the checkpoint")
    a = parser.parse_args()
    tensors = weights(torch.load(a.checkpoint, map_location="cpu", weights_only=not a.trusted))
    save_file(tensors, a.safetensors, {"format": "pt"})
    print(f"{len(tensors)} tensors, {sum(tensor.numel() for tensor in tensors.values())} numbers: {a.safetensors}")


if __name__ == "__main__":
    main()
