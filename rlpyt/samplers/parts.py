"""The parts that workers have in one collection: built, reset, saved and loaded together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

from rlpyt.samplers.acting import AgentExamples
from rlpyt.samplers.base import CollectionSpec
from rlpyt.samplers.failure import WorkerLostError
from rlpyt.samplers.requests import Bind, Build, Built, Close, Load, Reset, State
from rlpyt.samplers.state import join_states, part_of_state
from rlpyt.samplers.workers import Workers, raise_lost
from rlpyt.utils.shared_memory import SharedBlock

__all__ = ["Parts", "Span"]

# Deadlines to wait: a simulator may take its time to start, a state thousands of steps to replay.
_BUILD_PATIENCE = 3.0
_REPLAY_PATIENCE = 30.0


@final
@dataclass(frozen=True)
class Span:
    """The columns of one worker."""

    rank: int
    start: int
    stop: int

    @property
    def columns(self) -> slice:
        """As an index."""
        return slice(self.start, self.stop)


@final
class Parts:
    """What the workers of ``spans`` hold of collection ``number``.

    Raises, in every method that asks workers for something:
        RlpytError: what became of a worker that was lost over it.
    """

    def __init__(
        self, number: int, workers: Workers, spec: CollectionSpec, spans: Sequence[Span]
    ) -> None:
        """Have the workers make their environments."""
        self.workers, self.pool = workers, workers.pool
        self.spans = {span.rank: span for span in spans}
        self.block: SharedBlock | None = None
        self._number, self._spec = number, spec
        try:
            built = self._exchange(self.spans, self._build, patience=_BUILD_PATIENCE)
        except WorkerLostError as lost:
            raise_lost(lost)
        self.built: list[Built] = list(built.values())

    def _build(self, span: Span) -> Build:
        return Build(self._number, self._spec.part(span.start, span.stop))

    def allocate(self, tree: Any) -> Any:
        """Tensors for the leaves of ``tree`` in memory that the workers share."""
        self.block = SharedBlock.allocate(tree, "a batch of samples")
        return self.block.tree

    def bind(self, examples: AgentExamples) -> None:
        """Give each worker its columns of the allocated arrays."""
        self._examples = examples
        try:
            self._bind(self.spans)
        except WorkerLostError as lost:
            self.release()
            raise_lost(lost)

    def _bind(self, ranks: Iterable[int]) -> None:
        assert self.block is not None  # allocated before
        for rank in ranks:
            columns = self.spans[rank].columns
            request = Bind(self._number, self.block.layout, columns, self._examples)
            self.pool.send(rank, request, [self.block.fd])
        self.pool.gather(ranks, {})

    def _ask(self, request: Callable[[Span], Any], *, patience: float = 1.0) -> dict[int, Any]:
        """Ask every worker, and wait for the replies, in order of rank; where one is lost and may
        be replaced, its successor.
        """
        replies: dict[int, Any] = {}
        asked: set[int] = set()
        while len(replies) < len(self.spans):
            try:
                for rank in self.spans.keys() - asked:
                    self.pool.send(rank, request(self.spans[rank]))
                    asked.add(rank)
                self.pool.gather(self.spans.keys() - replies, replies, patience=patience)
            except WorkerLostError as lost:
                self.workers.replace(lost)
                asked.discard(lost.rank)
        return {rank: replies[rank] for rank in self.spans}

    def _exchange(
        self, ranks: Iterable[int], request: Callable[[Span], Any], *, patience: float = 1.0
    ) -> dict[int, Any]:
        replies: dict[int, Any] = {}
        for rank in ranks:
            self.pool.send(rank, request(self.spans[rank]))
        self.pool.gather(ranks, replies, patience=patience)
        return {rank: replies[rank] for rank in ranks}

    def reset(
        self, first_episode: int, max_decorrelation_steps: int, keys: tuple[int, ...]
    ) -> None:
        """Start episodes."""
        request = Reset(
            collection=self._number,
            first_episode=first_episode,
            max_decorrelation_steps=max_decorrelation_steps,
            keys=keys,
        )
        self._ask(lambda span: request)

    def states(self) -> dict[int, dict[str, Any]]:
        """The state of each part, by rank."""
        return self._ask(lambda span: State(self._number))

    def state_dict(self) -> dict[str, Any]:
        """One state of all parts."""
        joined: dict[str, Any] = join_states(list(self.states().values()))
        return joined

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Divide ``state`` among the workers."""
        self._ask(
            lambda span: Load(self._number, part_of_state(state, span.start, span.stop)),
            patience=_REPLAY_PATIENCE,
        )

    def rebuild(self, rank: int, first_episode: int, row: int | None) -> dict[str, Any]:
        """Have a new worker ``rank`` make its part, and start episodes at ``row``; its state.

        Raises:
            WorkerLostError: where the new one is lost too.
        """
        one = [rank]
        self._exchange(one, self._build, patience=_BUILD_PATIENCE)
        self._bind(one)
        request = Reset(
            collection=self._number,
            first_episode=first_episode,
            max_decorrelation_steps=0,
            keys=(first_episode,),  # other actions than the lost worker took
            row=row,
        )
        self._exchange(one, lambda span: request)
        state: dict[str, Any] = self._exchange(one, lambda span: State(self._number))[rank]
        return state

    def close(self) -> None:
        """Close the environments."""
        self._ask(lambda span: Close(self._number))

    def release(self) -> None:
        """Give the memory back."""
        if self.block is not None:
            self.block.close()
