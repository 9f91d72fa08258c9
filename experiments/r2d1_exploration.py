"""R2D1 where reward is far away, to compare: what NGU and Agent57 are without novelty.

    python experiments/r2d1_exploration.py r2d1_KeyDoorGrid --seed 1

No published returns. Differs from R2D2's settings as ``ngu_exploration.py``'s do from NGU's.
"""

from functools import partial

from command_line import main
from key_door_grid import key_door_grid

EXPERIMENTS = {"r2d1_KeyDoorGrid": partial(key_door_grid, "r2d1")}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
