"""`temporal workflow update`, and updates with a start."""

from ..case import story


def start(t, name=""):
    t.quietly(f"workflow start --type Box --task-queue {t.queue} -w {t.id}{name}")


def with_start(t, verb, name, *more):
    return (
        f"workflow {verb} --update-name {name} --type Box --task-queue {t.queue} -w {t.id}"
        f" --id-conflict-policy UseExisting {' '.join(more)}"
    )


@story
def execute(t):
    """Asked and waited for."""
    start(t)
    t.run(f"workflow update execute -w {t.id} --name add -i '\"one\"' --update-id first", text=True)
    t.run(f"workflow update execute -w {t.id} --name add -i '\"two\"'")
    t.run(f"workflow update execute -w {t.id} --name add -i '\"three\"'", json=False)
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")
    t.run(f"workflow show -w {t.id}", text=True)


@story
def rejected(t):
    """The validator says no."""
    start(t)
    t.run(f"workflow update execute -w {t.id} --name add -i '\"\"' --update-id empty", text=True)
    t.run(f"workflow update start -w {t.id} --name add -i '\"\"' --wait-for-stage accepted --update-id e", text=True)
    t.run(f"workflow update execute -w {t.id} --name nonsense --update-id nonsense")
    t.run(f"workflow update describe -w {t.id} --update-id empty", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")


@story
def started_and_waited_for(t):
    """Accepted first; looked at; its result fetched when it is there."""
    start(t)
    t.run(
        f"workflow update start -w {t.id} --name wait_until_done --wait-for-stage accepted --update-id w",
        text=True,
    )
    t.run(f"workflow update describe -w {t.id} --update-id w", text=True)
    t.run(f"workflow signal -w {t.id} --name put -i '\"one\"'")
    t.run(f"workflow signal -w {t.id} --name put -i '\"two\"'")
    t.run(f"workflow update result -w {t.id} --update-id w", text=True)
    t.run(f"workflow update describe -w {t.id} --update-id w", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")
    t.run(f"workflow update result -w {t.id} --update-id w")


@story
def nobody(t):
    """Workflows and updates that are not there."""
    t.run(f"workflow update execute -w {t.id} --name add -i '\"one\"'", text=True)
    t.run(f"workflow update result -w {t.id} --update-id w", text=True)
    start(t)
    t.run(f"workflow update result -w {t.id} --update-id w", text=True)
    t.run(f"workflow update describe -w {t.id} --update-id w", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")
    t.run(f"workflow update execute -w {t.id} --name add -i '\"one\"'", text=True)


@story
def execute_with_start(t):
    """The first call starts the workflow, the second one does not."""
    for number in ("one", "two"):
        t.run(
            with_start(t, "execute-update-with-start", "add", f"--update-input '\"{number}\"' --update-id {number}"),
        )
    t.run(with_start(t, "execute-update-with-start", "add", "--update-input '\"\"' --update-id e"), text=True)
    t.run(
        f"workflow execute-update-with-start --update-name add --type Box --task-queue {t.queue} -w {t.id}"
        f" --id-conflict-policy Fail --update-input '\"x\"'",
        text=True,
    )
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")


@story
def start_with_start(t):
    """The same, waiting for no more than the acceptance."""
    stage = "--update-wait-for-stage accepted --update-id w"
    t.run(with_start(t, "start-update-with-start", "wait_until_done", stage), text=True)
    t.run(f"workflow signal -w {t.id} --name put -i '\"one\"'")
    t.run(f"workflow signal -w {t.id} --name put -i '\"two\"'")
    t.run(f"workflow update result -w {t.id} --update-id w", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")
