from pathlib import Path

from rlpyt.evaluation.same_run import rank_checkpoints


def test_processes_stand_in_the_order_of_their_ranks(tmp_path: Path):
    for rank in (10, 2, 1):
        (tmp_path / f"rank_{rank}").mkdir()
    found = [checkpoints.directory.name for checkpoints in rank_checkpoints(tmp_path)]
    assert found == [tmp_path.name, "rank_1", "rank_2", "rank_10"]
