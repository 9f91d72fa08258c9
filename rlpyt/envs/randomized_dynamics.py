"""Randomised dynamics for any MuJoCo environment: masses, inertias, damping, friction as a task.

The counterpart of the ``rand_param_envs`` package that PEARL used, on today's ``mujoco``.
"""

from collections.abc import Mapping
from typing import Any, Protocol, final, runtime_checkable

import gymnasium
import numpy as np

from rlpyt.envs.tasks import Task, checked_task, find_task_env
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["RandomizedDynamics"]

_BASES = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}


@runtime_checkable
class _HasModel(Protocol):
    """What Gymnasium's MuJoCo environments have: the mjModel that they step."""

    model: Any


@final
class RandomizedDynamics(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A MuJoCo environment whose dynamics are the task.

    A task has one array for each of ``parameters``, as in the mjModel: ``body_mass`` [nbody] (kg),
    ``body_inertia`` [nbody, 3] (kg m²), ``dof_damping`` [nv], ``geom_friction`` [ngeom, 3]
    (sliding, torsional, rolling). A sampled task is, for each element on its own,

        value = nominal · base^u,   u ~ U(-L, L),

    with L = ``log_scale_limit`` and base 1.5, for damping 1.3. The nominal values are copied when
    the wrapper is made, so nothing drifts: ``set_task(nominal_task())`` gives back the model that
    was wrapped, bit for bit. What is zero stays zero, the world's mass among it.

    As in ``rand_param_envs``: inertias vary independently of masses, their triples need not be
    those of a rigid body; and what MuJoCo's compiler derives from them (``body_invweight0``,
    ``dof_invweight0``, ``body_subtreemass``) stays nominal, no ``mj_setConst`` is called.

    Where the wrapped environment has tasks of its own, a task here is theirs and the dynamics
    together.

    Args:
        env: any environment whose ``unwrapped`` has the ``model`` that it steps, such as all of
            Gymnasium's.
        log_scale_limit: L; factors are within 1.5^±L. PEARL's release has 3.
        parameters: which arrays of the model vary.

    Raises:
        RlpytError: ``env``, for another environment; ``config``, for other parameters or a negative
            limit.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        log_scale_limit: float = 3.0,
        parameters: tuple[str, ...] = tuple(_BASES),
    ) -> None:
        super().__init__(env)
        for name in parameters:
            if name not in _BASES:
                what = f"{name!r} is no parameter to vary"
                raise RlpytError("config", what, hint=did_you_mean(name, _BASES))
        if not 0 <= log_scale_limit < float("inf"):
            what = f"log_scale_limit={log_scale_limit} must be a number of at least 0"
            raise RlpytError("config", what, hint="3 is that of PEARL")
        body = env.unwrapped
        if not isinstance(body, _HasModel):
            raise RlpytError(
                "env",
                f"{env} has no MuJoCo model",
                hint="its env.unwrapped.model must be an mjModel, as in Gymnasium's environments",
            )
        self._limit = log_scale_limit
        self._model = body.model
        # What the model hands out are views of its memory.
        self._nominal = {name: getattr(self._model, name).copy() for name in parameters}
        self._inner = find_task_env(env)

    def nominal_task(self) -> Task:
        """The dynamics of the wrapped environment, with its current task where it has tasks."""
        inner = {} if self._inner is None else self._inner.get_task()
        return {**inner, **{name: array.copy() for name, array in self._nominal.items()}}

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[Task]:
        """``n`` tasks: those of the wrapped environment first, then the dynamics of each."""
        tasks: list[Task] = [{} for _ in range(n)]
        if self._inner is not None:
            tasks = self._inner.sample_tasks(n, rng)
        return [{**task, **self._sample(rng)} for task in tasks]

    def _sample(self, rng: np.random.Generator) -> Task:
        limit = self._limit
        return {
            name: array * _BASES[name] ** rng.uniform(-limit, limit, array.shape)
            for name, array in self._nominal.items()
        }

    def set_task(self, task: Mapping[str, Any]) -> None:
        """Write the arrays of ``task`` into the model.

        Raises:
            RlpytError: ``task``, for other keys or shapes, or numbers that are negative or not
                finite; nothing has changed then.
        """
        checked = checked_task(task, self.nominal_task(), where="RandomizedDynamics")
        for name in self._nominal:
            if (checked[name] < 0).any():
                what = f"a task with a negative number in {name}"
                raise RlpytError("task", what, where="RandomizedDynamics")
        if self._inner is not None:
            self._inner.set_task({k: v for k, v in checked.items() if k not in self._nominal})
        for name in self._nominal:
            getattr(self._model, name)[...] = checked[name]

    def get_task(self) -> Task:
        """What the model has now."""
        inner = {} if self._inner is None else self._inner.get_task()
        return {**inner, **{name: getattr(self._model, name).copy() for name in self._nominal}}
