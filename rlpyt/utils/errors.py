"""The error a user meets: what happened, where, and the way out, in one line."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, final

__all__ = ["RlpytError", "did_you_mean"]


@final
class RlpytError(Exception):
    """An error with a stable ``code`` (``config``, ``env``, ``checkpoint``, ``directory``, ...),
    its place and a remedy.

    Prints as ``ERROR <code>: <what> (<where>) - <hint>``. Where an environment failed, ``capsule``
    is what reproduces it, as data for JSON (:mod:`rlpyt.envs.capsule`).
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str = "",
        hint: str = "",
        capsule: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code, what, where, hint)
        self.code = code
        self.what = what
        self.where = where
        self.hint = hint
        self.capsule = capsule

    def altered(
        self, *, what: str | None = None, where: str | None = None, hint: str | None = None
    ) -> "RlpytError":
        """The same error in other words, of the same cause."""
        told = RlpytError(
            self.code,
            self.what if what is None else what,
            where=self.where if where is None else where,
            hint=self.hint if hint is None else hint,
            capsule=self.capsule,
        )
        told.__cause__ = self.__cause__
        return told

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.code, self.what, self.where, self.hint, self.capsule)

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        hint = f" - {self.hint}" if self.hint else ""
        return f"ERROR {self.code}: {self.what}{where}{hint}"


def _rebuild(
    code: str, what: str, where: str, hint: str, capsule: dict[str, Any] | None
) -> RlpytError:
    return RlpytError(code, what, where=where, hint=hint, capsule=capsule)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the nearest known word, or all of them where none is near."""
    candidates = list(known)
    near = get_close_matches(word, candidates, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(sorted(candidates))}"
