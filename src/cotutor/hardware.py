"""What this machine computes on."""

import torch


def choose_device() -> torch.device:
    """Returns where a language model computes: a CUDA device if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def accelerator() -> str | None:
    """Returns the name of the CUDA device, None without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def choose_dtype(choice: str, device: torch.device) -> torch.dtype:
    """Returns the precision for ``auto``, ``bfloat16`` or ``float32``."""
    if choice != "auto":
        return getattr(torch, choice)
    features = torch.cpu.get_capabilities()
    fast = device.type == "cuda" or features.get("avx512_bf16") or features.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32
