"""What the runner knows of an SDK: processes that run cases and report each with a line of JSON."""

import dataclasses


@dataclasses.dataclass
class Batch:
    """One process. A case that it does not report has failed, for whatever the process has written instead."""

    names: list[str]
    # Called with the addresses of the nodes and a word of this run's own, which keeps ids apart.
    command: object
    seconds: float
    env: dict | None = None
