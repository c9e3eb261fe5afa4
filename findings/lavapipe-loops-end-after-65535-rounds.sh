#!/usr/bin/env bash
# Mesa 22.3.6's lavapipe (Vulkan in software): a shader's loops end after 65535 rounds in all, without an error.
#
# Guess: a loop runs as often as it says, or the driver reports a lost device, as drivers do that stop long kernels.
# Seen: a loop of 65536 rounds makes 65535, and the kernel goes on with the number it has. All loops of one invocation
# share the budget: of two loops of 40000 rounds the second makes 25534. So a sum over 65536 numbers is wrong, and the
# same kernel with smaller images passes every test. (gallivm's LP_MAX_TGSI_LOOP_ITERATIONS.)
#
# Seen 2026-11-30 with Mesa 22.3.6-1+deb12u2 and LLVM 15.0.6, both of Debian 12 (amd64), wgpu-py 0.31.1 (Python 3.11). Exits
# with 1 if that changes. Needs Debian 12 with its package lists (apt-get update); it installs nothing there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# The driver and what it links to, but not the C library and its like.
mapfile -t packages < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances --no-pre-depends mesa-vulkan-drivers=22.3.6-1+deb12u2 | grep '^lib[a-z0-9.+-]*$' | sort -u |
    grep -Ev '^lib(c6|gcc-s1|stdc\+\+6|python|perl|ssl|db5|gdbm|gssapi|k|nsl|tirpc|com-err|crypt1|sqlite|readline|ncurses|uuid)')
apt-get download -qq mesa-vulkan-drivers=22.3.6-1+deb12u2 "${packages[@]}" 2>messages || { cat messages; exit 1; }
for package in *.deb; do dpkg-deb -x "$package" root; done
libraries=$folder/root/usr/lib/x86_64-linux-gnu
echo "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": \"$libraries/libvulkan_lvp.so\", \"api_version\": \"1.3.230\"}}" >lavapipe.json
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wgpu==0.31.1
export VK_ICD_FILENAMES=$folder/lavapipe.json VK_DRIVER_FILES=$folder/lavapipe.json LD_LIBRARY_PATH=$libraries:$folder/root/lib/x86_64-linux-gnu
cat >loops.py <<'PY'
import struct

import wgpu

SHADER = """
@group(0) @binding(0) var<storage, read> rounds: u32;
@group(0) @binding(1) var<storage, read_write> made: array<u32, 2>;
@compute @workgroup_size(1)
fn main() {
    for (var i = 0u; i < rounds; i++) { made[0] += 1u; }
    for (var i = 0u; i < rounds; i++) { made[1] += 1u; }
}
"""
adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
device = adapters[0].request_device_sync()
print(adapters[0].info["description"])
storage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC
pipeline = device.create_compute_pipeline(
    layout="auto", compute={"module": device.create_shader_module(code=SHADER), "entry_point": "main"})
for rounds in (32767, 40000, 65536):
    buffers = [device.create_buffer_with_data(data=struct.pack("I", rounds), usage=storage),
               device.create_buffer_with_data(data=bytes(8), usage=storage)]
    entries = [{"binding": at, "resource": {"buffer": buffer}} for at, buffer in enumerate(buffers)]
    group = device.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
    encoder = device.create_command_encoder()
    work = encoder.begin_compute_pass()
    work.set_pipeline(pipeline)
    work.set_bind_group(0, group)
    work.dispatch_workgroups(1)
    work.end()
    device.queue.submit([encoder.finish()])
    print("two loops of", rounds, "make", *struct.unpack("II", device.queue.read_buffer(buffers[1])))
PY
venv/bin/python loops.py 2>messages | tee seen || { cat messages; exit 1; }
diff seen - <<'SEEN'
Mesa 22.3.6 (LLVM 15.0.6)
two loops of 32767 make 32767 32767
two loops of 40000 make 40000 25534
two loops of 65536 make 65535 1
SEEN
