"""What a sampler is: B environments and an agent, giving batches of T steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, final

from rlpyt.agents.base import Actor, Agent
from rlpyt.data import BatchSpec, EnvSpaces, Samples, TrajInfo
from rlpyt.envs.build import EnvConfig, build_vector_env, peek_spaces
from rlpyt.envs.vector import VectorEnv
from rlpyt.samplers.acting import AgentExamples, LocalActing
from rlpyt.samplers.buffer import SampleBuffer, sample_arrays
from rlpyt.samplers.collector import BatchCollector
from rlpyt.samplers.meter import SamplerTimes
from rlpyt.samplers.trajectories import TrajTracker
from rlpyt.utils.seed import Stream

__all__ = ["BaseSampler", "CollectionSpec"]


@final
@dataclass(frozen=True, kw_only=True)
class CollectionSpec:
    """What a collector is to collect, for all its columns: enough for any process to build its
    part.
    """

    env: EnvConfig
    env_indices: tuple[int, ...]  # global, one for each column
    T: int
    seed: int
    env_stream: Stream = Stream.ENV
    action_stream: Stream = Stream.ACTION
    greedy: bool = False
    total_envs: int | None = None  # of the whole run; None: these columns
    mid_batch_reset: bool = True
    bootstrap_value: bool = False
    group_size: int | None = None
    traj_info: TrajInfo = field(default_factory=TrajInfo)
    score_key: str | None = None  # the leaf of env_info that episodes count instead of rewards
    poison: bool = False

    @property
    def n_envs(self) -> int:
        """Columns of a batch."""
        return len(self.env_indices)

    def part(self, start: int, stop: int) -> "CollectionSpec":
        """The same for the columns from ``start`` to ``stop``."""
        return replace(self, env_indices=self.env_indices[start:stop])

    def build_env(self) -> VectorEnv:
        """The environments of all columns."""
        return build_vector_env(
            self.env,
            self.env_indices,
            seed=self.seed,
            stream=self.env_stream,
            auto_reset=self.mid_batch_reset,
            total_envs=self.total_envs,
        )

    def tracker(self) -> TrajTracker:
        """Follows the episodes of all columns."""
        return TrajTracker(self.traj_info, self.env_indices, self.score_key)

    def sample_buffer(
        self,
        spaces: EnvSpaces,
        examples: AgentExamples,
        *,
        invalid_steps: bool,
        allocate: Callable[[Any], Any],
    ) -> SampleBuffer:
        """The memory of one batch of all columns, made by ``allocate`` from a tree on the meta
        device; ``invalid_steps`` says whether the environments take steps that do not count.
        """
        arrays = sample_arrays(
            spaces,
            examples.agent_info,
            self.T,
            self.n_envs,
            bootstrap_value=self.bootstrap_value,
            with_valid=invalid_steps or not self.mid_batch_reset,
            info_keys=self.env.info_keys,
            allocate=allocate,
            poison=self.poison,
        )
        return SampleBuffer(arrays)

    def local_acting(
        self, agent: Agent, buffer: SampleBuffer, examples: AgentExamples
    ) -> LocalActing:
        """``agent`` acts for all columns, which ``buffer`` holds."""

        def make_actor(columns: slice, keys: tuple[int, ...]) -> Actor:
            return Actor(
                agent,
                self.env_indices[columns],
                seed=self.seed,
                stream=self.action_stream,
                keys=keys,
                greedy=self.greedy,
                n_envs=self.total_envs,
            )

        return LocalActing(agent, buffer, examples, make_actor, group_size=self.group_size)


@dataclass(kw_only=True)
class BaseSampler(ABC):
    """Owns environments; hands out ``samples [T, B]`` and the episodes that finished."""

    # A Gymnasium id, "module:callable", a callable, or an EnvConfig with options.
    env: EnvConfig | str | Callable[..., Any]
    batch_T: int
    batch_B: int
    # False: after an episode's end an environment waits for the next batch.
    mid_batch_reset: bool = True
    # Random steps at the start, between 0 and this, in each environment.
    max_decorrelation_steps: int = 0
    # Environments in one inference call. A fixed size gives the same floats in every sampler.
    # None: as many as act together, which differs from sampler to sampler.
    group_size: int | None = None
    TrajInfoCls: type[TrajInfo] = TrajInfo
    poison: bool = False  # fill buffers with NaN and -42, to show a read before a write
    _n_ranks: int = field(init=False, repr=False, compare=False, default=1)
    _collector: BatchCollector | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def batch_spec(self) -> BatchSpec:
        """T and B of one batch."""
        return BatchSpec(self.batch_T, self.batch_B)

    def env_spaces(self) -> EnvSpaces:
        """The spaces of one environment, from an instance made to look."""
        return peek_spaces(EnvConfig.of(self.env))

    @abstractmethod
    def plan(self) -> dict[str, Any]:
        """How the work is divided among processes, for the log; empty where it is not."""

    @abstractmethod
    def open(self, spec: CollectionSpec, agent: Agent) -> BatchCollector:
        """A collector of ``spec`` on this sampler's processes, the (initialised) agent acting."""

    @abstractmethod
    def give_up(self, failed: BatchCollector | None) -> None:
        """Drop a collector whose environments have raised, so that the other ones can go on; None
        stands for one that could not be opened.

        Raises:
            RlpytError: where they cannot, since a process is lost.
        """

    @abstractmethod
    def shutdown(self) -> None:
        """Close environments, end processes."""

    def initialize(
        self,
        agent: Agent,
        *,
        seed: int,
        discount: float = 1.0,
        bootstrap_value: bool = False,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        """Bind the (initialised) agent; make the environments, global indices from ``rank * B``,
        and start an episode in each. A running sampler is shut down first, and with it what
        evaluators have opened. ``n_ranks`` samplers, of which this is one, run at the same time.
        """
        if self._collector is not None:
            self.shutdown()
        spec = CollectionSpec(
            env=EnvConfig.of(self.env),
            env_indices=tuple(range(rank * self.batch_B, (rank + 1) * self.batch_B)),
            T=self.batch_T,
            seed=seed,
            total_envs=self.batch_B * n_ranks,
            mid_batch_reset=self.mid_batch_reset,
            bootstrap_value=bootstrap_value,
            group_size=self.group_size,
            traj_info=self.TrajInfoCls(discount=discount),
            poison=self.poison,
        )
        try:
            self._n_ranks = n_ranks
            self._collector = self.open(spec, agent)
            self._collector.reset(max_decorrelation_steps=self.max_decorrelation_steps)
        except BaseException:
            self.shutdown()
            raise

    def obtain_samples(self, itr: int) -> tuple[Samples, list[TrajInfo]]:
        """One batch, [T, B], overwritten by the next call; and the episodes that ended in it."""
        return self._running().collect(itr * self.batch_spec.size * self._n_ranks)

    @property
    def samples(self) -> Samples:
        """The memory of the batch, [T, B]."""
        return self._running().samples

    def times(self) -> SamplerTimes:
        """Where the sampler's processes have spent their time."""
        return self._running().times()

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch starts; every sampler reads every other's."""
        return self._running().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._running().load_state_dict(state)

    def _running(self) -> BatchCollector:
        if self._collector is None:
            name = type(self).__name__
            raise RuntimeError(f"{name}: call initialize(agent, seed=...) first")
        return self._collector
