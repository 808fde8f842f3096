"""Damage to bytes: what was stored in, what is read back out. Pure."""

import hashlib

from harness.faults.storage import BitFlip, Empty, Torn


def damaged(fault: Torn | BitFlip | Empty, data: bytes) -> tuple[bytes, str]:
    """Damage the bytes of one file.

    Returns:
        what is read from now on, and in words what was done.
    """
    match fault:
        case Torn():
            return torn(fault, data)
        case BitFlip():
            return flipped(data, seed=fault.seed)
        case Empty():
            return b"", f"0 of {len(data)} bytes are left"


def torn(fault: Torn, data: bytes) -> tuple[bytes, str]:
    """Tear a write; a file of one block loses all of it."""
    size = len(data)
    block = max(1, -(-size // 3)) if fault.unit == "thirds" else int(fault.unit)
    last = max(0, size - 1) // block * block
    if fault.shape == "prefix":
        return data[:last], f"{last} of {size} bytes are left"
    first, end = {
        "suffix": (0, block),
        "hole": (middle := (last // block + 1) // 2 * block, middle + block),
        "zeros": (block if last else 0, size),
    }[fault.shape]
    end = min(size, end)
    words = f"the bytes {first} to {end} of {size} are zeros"
    return data[:first] + bytes(end - first) + data[end:], words


def flipped(data: bytes, *, seed: int) -> tuple[bytes, str]:
    """Flip the bit that a seed decides on; of no bytes none."""
    if not data:
        return data, "no byte to flip a bit of"
    number = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "big")
    place, bit = divmod(number % (len(data) * 8), 8)
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed), f"bit {bit} of byte {place} of {len(data)}"
