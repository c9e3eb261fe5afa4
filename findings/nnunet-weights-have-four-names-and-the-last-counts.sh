#!/usr/bin/env bash
# dynamic-network-architectures 0.4.4 (nnU-Net's networks): a state dict names one weight up to four times, and a strict load takes
# the last name in silence.
#
# Guess: each weight has one name, and a strict load of a state dict gives every named weight the value under its name, or raises.
# Seen: a block keeps its convolution as `conv` and in `all_modules`, and the decoder keeps the encoder, so an encoder's weight has
# four names: 188 names for 68 tensors, 1121646 numbers for 351270 parameters. Whoever changes a weight under its first name,
# as to start a layer anew or to convert a file, and loads it with strict=True, gets no error, and the old weight.
#
# Seen 2026-12-01 with dynamic-network-architectures 0.4.4 and torch 2.15.0 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dynamic-network-architectures==0.4.4 torch==2.15.0
venv/bin/python -W ignore - <<'PY' | tee seen
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet


def network():
    return PlainConvUNet(1, 4, [8, 16, 32, 64], torch.nn.Conv3d, 3, [1, 2, 2, 2], 2, 2, 2, conv_bias=True,
                         norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"affine": True}, nonlin=torch.nn.LeakyReLU)


first = network()
state = first.state_dict()
print(len(state), "names for", len({tensor.data_ptr() for tensor in state.values()}), "tensors")
print(sum(tensor.numel() for tensor in state.values()), "numbers for", sum(p.numel() for p in first.parameters()), "parameters")
name = "encoder.stages.0.0.convs.0.conv.weight"
file = {key: tensor.clone() for key, tensor in state.items()}
file[name].zero_()
second = network()
print(second.load_state_dict(file, strict=True))
print("what was loaded is 0:", bool((second.state_dict()[name] == 0).all()))
for key in [key for key in file if key.endswith(name.removeprefix("encoder."))]:
    file[key].zero_()
second.load_state_dict(file, strict=True)
print("with two of its four names changed:", bool((second.state_dict()[name] == 0).all()))
PY
diff seen - <<'SEEN'
188 names for 68 tensors
1121646 numbers for 351270 parameters
<All keys matched successfully>
what was loaded is 0: False
with two of its four names changed: False
SEEN
