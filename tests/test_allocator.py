"""The allocator setting takes effect in the running process, which is what a kernel of JupyterLab needs."""

import platform
import subprocess
import sys

import pytest

# Page faults of allocating and freeing 64 MiB thirty times: with glibc's defaults each block goes back to the kernel.
PROBE = """
import ctypes, resource, sys
from slmkit import allocator
if sys.argv[1] == "tuned":
    assert allocator.tune()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
for _ in range(30):
    block = libc.malloc(64 << 20)
    libc.memset(block, 1, 64 << 20)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_stays_in_the_process():
    def faults(form: str) -> int:
        env = {"PATH": "/usr/bin:/bin"}  # without the variables that make sets
        done = subprocess.run([sys.executable, "-c", PROBE, form], capture_output=True, text=True, env=env, check=True)
        return int(done.stdout)

    assert faults("stock") > 5 * faults("tuned")
