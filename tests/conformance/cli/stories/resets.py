"""`temporal workflow reset` and `update-options`, `temporal batch`, and commands that take a query."""

from ..case import story

NOBODY = "--task-queue nobody-polls-this-queue"


@story
def reset(t):
    """To an event, to the first and to the last task, and what the old run says of it."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id}")
    t.run(f"workflow signal -w {t.id} --name put -i '\"one\"'")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -e 4 --reason again")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -t FirstWorkflowTask --reason again --reapply-exclude Signal")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow signal -w {t.id} --name put -i '\"two\"'")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -t LastWorkflowTask --reason again", json=False)
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow reset -w {t.id} -e 1 --reason again", text=True)
    t.run(f"workflow reset -w {t.id}-nobody -e 4 --reason again", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")


@story
def update_options(t):
    """Priority is no option of the command; the override is."""
    t.run(f"workflow start --type Lonely {NOBODY} -w {t.id}")
    t.run(f"workflow update-options -w {t.id} --versioning-override-behavior auto_upgrade", text=True)
    t.run(f"workflow show -w {t.id}", text=True)
    t.run(f"workflow terminate -w {t.id}")
