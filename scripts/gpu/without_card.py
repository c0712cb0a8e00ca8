"""A CUDA driver and its management library (NVML) without a card, and NVIDIA's compiler, for programs that compile kernels where there is none."""

import os
import pathlib
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).resolve().parents[2]


def wheels():
    """The folder of NVIDIA's packages in this Python, as a toolkit."""
    for name in ("purelib", "platlib"):
        folders = (pathlib.Path(sysconfig.get_path(name)) / "nvidia").glob("cu*")
        # PyTorch's packages have folders of such names without headers, too.
        if found := sorted(folder for folder in folders if (folder / "include/cuda_runtime.h").exists()):
            return found[-1]
    return None


def environment(work, out, compute_capability, level):
    """What a process is given so that it finds a driver without a card and keeps its kernels in `out`. `work` is a folder for the driver."""
    for library, source in (("libcuda.so.1", "fake_cuda.c"), ("libnvidia-ml.so.1", "fake_nvml.c")):
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", work / library, ROOT / "scripts/gpu" / source], check=True)
    toolkit = pathlib.Path(os.environ["CUDA_PATH"]) if "CUDA_PATH" in os.environ else wheels()
    # Its absence shows after half an hour of compiling: the header of a matrix product.
    if toolkit and not (toolkit / "include/crt/mma.h").exists():
        sys.exit(f"error: {toolkit} has no include/crt/mma.h\nhint: pip install nvidia-cuda-crt")
    libraries = [str(work)]
    added = dict(FAKE_CUDA_CC=str(compute_capability), CUBECL_AUTOTUNE_LEVEL=level, SPEEDLAB_KERNELS=str(out))
    if toolkit:
        libraries += [str(toolkit / folder) for folder in ("lib", "lib64") if (toolkit / folder).is_dir()]
        added["CUDA_PATH"] = str(toolkit)
    added["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    return os.environ | added
