"""MLflow."""

import os
import re
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any, final

from rlpyt.logging.remote import RunLabel

__all__ = ["MlflowService"]

_PARAMS_AT_ONCE = 100  # MLflow takes no more in one call
_LONGEST = 500  # characters of a parameter's value
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")


@final
class MlflowService:
    """One run in MLflow, in the experiment ``MLFLOW_EXPERIMENT_NAME`` (``rlpyt``).

    MLflow reads its own variables: ``MLFLOW_TRACKING_URI`` is a server, or a file such as
    ``sqlite:///mlflow.db``.
    """

    name = "MLflow"

    def __init__(self, mlflow: ModuleType, label: RunLabel) -> None:
        """``mlflow`` is the package; nothing is sent yet."""
        self._mlflow = mlflow
        self._label = label
        self._client: Any = None
        self._run_id = ""

    def begin(self, settings: Mapping[str, Any], run_id: str | None) -> str:
        """Begin, or continue ``run_id``, whose parameters stay: MLflow changes none."""
        self._client = self._mlflow.MlflowClient()
        if run_id is not None:
            self._run_id = run_id
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        tags = {"run_dir": str(self._label.run_dir.resolve())}
        run = self._client.create_run(
            self._experiment(), run_name=str(self._label), tags={**tags, "group": self._label.name}
        )
        self._run_id = str(run.info.run_id)
        param = self._mlflow.entities.Param
        params = [
            param(_NOT_IN_NAMES.sub("", name), str(value)[:_LONGEST])
            for name, value in settings.items()
        ]
        for start in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(self._run_id, params=params[start : start + _PARAMS_AT_ONCE])
        return self._run_id

    def write(self, values: Mapping[str, float], step: int) -> None:
        """One metric for each value."""
        now = int(1000 * time.time())  # milliseconds since 1970
        metric = self._mlflow.entities.Metric
        metrics = [
            metric(_NOT_IN_NAMES.sub("", name), value, now, step) for name, value in values.items()
        ]
        self._client.log_batch(self._run_id, metrics=metrics)

    def close(self, *, success: bool) -> None:
        """Finished; or killed, unless the run is done."""
        self._client.set_terminated(self._run_id, status="FINISHED" if success else "KILLED")

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "rlpyt")
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except self._mlflow.MlflowException:  # another run has just made it
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)
