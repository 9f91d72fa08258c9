"""The command line that every launch of experiments has: seeds, slots, where the runs go, and
options and settings of all runs, as ``rlpyt launch`` has them.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlpyt.launch import Launcher, Queue, RunSpec
from rlpyt.launch.report import report_on
from rlpyt.logging import default_log_dir

FOLDER = Path(__file__).resolve().parents[1]


def main(description: str, experiments: Mapping[str, Sequence[str]]) -> None:
    """Run the named experiments of each file, all with seed 0 first, and compare them."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="from 0 (default 5)")
    parser.add_argument("--affinity", default="auto", metavar="CODE", help="default auto")
    parser.add_argument("--out", type=Path, help="of all runs (default data/local/...)")
    parser.add_argument("--dry-run", action="store_true", help="name the runs, and start none")
    args, words = parser.parse_known_args()  # what is left are options and settings of every run
    directory = args.out or default_log_dir(Path(sys.argv[0]).stem)
    specs = [
        RunSpec(
            command=(sys.executable, "-m", "rlpyt.cli.launched"),
            cwd=str(Path.cwd()),
            log_dir=f"{Path(file).stem}/{name.replace('/', '-')}",
            run_ID=seed,
            variant={},
            args=[f"{FOLDER / file}:{name}", *words],
        )
        for seed in range(args.seeds)
        for file, names in experiments.items()
        for name in names
    ]
    if args.dry_run:
        print("\n".join(spec.name for spec in specs))
        return
    with Queue(directory, create=True) as queue:
        queue.add(specs)
        print(f"{len(specs)} runs, into {directory}; watch them with `rlpyt watch {directory}`")
        Launcher(queue, args.affinity).drain()
        report_on(queue)
