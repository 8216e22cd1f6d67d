"""`temporal workflow`: from the start of a workflow to its deletion."""

import time

from ..case import story

NOBODY = "--task-queue nobody-polls-this-queue"


@story
def start_and_describe(t):
    """A workflow without a worker: started, described, shown, terminated."""
    t.run(
        f"workflow start --type Lonely {NOBODY} -w {t.id} -i '{{\"a\": 1}}' -i '\"two\"' --memo 'note=\"m\"'"
        " --execution-timeout 1h --run-timeout 30m --task-timeout 20s --static-summary short"
        " --static-details long --headers 'h=\"v\"' --priority-key 2"
    )
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"workflow show -w {t.id}", text=True)
    t.run(f"workflow terminate -w {t.id} --reason 'no reason'", text=False)
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"workflow show -w {t.id}", text=True)
    t.run(f"workflow result -w {t.id}", text=True)


@story
def started_in_text(t):
    """The words that most people see."""
    t.run(f"workflow start --type Lonely {NOBODY} -w {t.id}", json=False)
    t.run(f"workflow signal -w {t.id} --name go", json=False)
    t.run(f"workflow cancel -w {t.id}", json=False)
    t.run(f"workflow terminate -w {t.id}", json=False)
    t.run(f"workflow delete -w {t.id} --yes", json=False)


@story
def execute(t):
    """Started and waited for, with its history on the way."""
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id}-json -i '\"hello\"'")
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id}-text -i '\"hello\"'", json=False)
    t.run(f"workflow show -w {t.id}-json", text=True)
    t.run(f"workflow describe -w {t.id}-json", text=True)


@story
def execute_that_fails(t):
    """The failure is shown and the exit code says so."""
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id}-json -i '\"fail\"'")
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id}-text -i '\"fail\"'", json=False)
    t.run(f"workflow result -w {t.id}-json", text=True)


@story
def messages(t):
    """Signals, queries, the stack and the result; a query waits until the worker has caught up."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id}")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow signal -w {t.id} --name put -i '\"one\"'")
    t.run(f"workflow query -w {t.id} --type count", text=True)
    t.says(f"workflow stack -w {t.id}", "QueryResult", "Stack for", "workflow: Box")
    t.says(f"workflow stack -w {t.id} -o json", "queryResult", "Stack for")
    t.run(f"workflow metadata -w {t.id}", text=True)
    t.run(f"workflow query -w {t.id} --type nonsense", text=True)
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}", text=True)
    t.run(f"workflow query -w {t.id} --type count --reject-condition not_open", text=True)
    t.run(f"workflow signal -w {t.id} --name put", text=True)


@story
def cancelled(t):
    """A workflow that lets itself be cancelled."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id}")
    t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow cancel -w {t.id}")
    t.run(f"workflow result -w {t.id}", text=True)
    t.run(f"workflow describe -w {t.id}")
    t.run(f"workflow cancel -w {t.id}", text=True)


@story
def signal_with_start(t):
    """Once to start, once to signal what runs."""
    command = f"workflow signal-with-start --type Box --task-queue {t.queue} -w {t.id}"
    for word in ("one", "two"):
        t.run(f"{command} --signal-name put --signal-input '\"{word}\"'")
        t.run(f"workflow query -w {t.id} --type count")
    t.run(f"workflow signal -w {t.id} --name finish")
    t.run(f"workflow result -w {t.id}")


@story
def started_twice(t):
    """What happens to the second start of an id."""
    command = f"workflow start --type Lonely {NOBODY} -w {t.id}"
    t.run(command)
    t.run(command, text=True)
    t.run(f"{command} --fail-existing", text=True)
    t.run(f"{command} --id-conflict-policy UseExisting")
    t.run(f"{command} --id-conflict-policy TerminateExisting")
    t.run(f"workflow terminate -w {t.id}")
    t.run(f"{command} --id-reuse-policy RejectDuplicate", text=True)
    t.run(f"{command} --id-reuse-policy AllowDuplicateFailedOnly")


@story
def start_delay(t):
    """A start that waits."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id} --start-delay 1s -i '\"late\"'")
    t.run(f"workflow result -w {t.id}")


@story
def deleted(t):
    """After the deletion nothing is left."""
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id} -i '\"x\"'", json=False)
    t.run(f"workflow delete -w {t.id} --yes")
    deadline = time.monotonic() + 30
    while t.execute(f"workflow describe -w {t.id} -o json").returncode == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"workflow show -w {t.id}", text=True)


@story
def nobody(t):
    """Every command on a workflow that does not exist."""
    for command in ("describe", "show", "result", "cancel", "terminate", "delete --yes", "stack"):
        t.run(f"workflow {command} -w {t.id}", text=True)
    t.run(f"workflow signal -w {t.id} --name go", text=True)
    t.run(f"workflow query -w {t.id} --type count", text=True)
    t.run(f"workflow describe -w {t.id} --namespace no-such-namespace", text=True)
    t.run("workflow list --namespace no-such-namespace", text=True)


@story
def activity_from_elsewhere(t):
    """An activity that nobody works on is completed by hand."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id} -i '\"elsewhere\"'")
    deadline = time.monotonic() + 20
    while "ACTIVITY_TASK_SCHEDULED" not in t.quietly(f"workflow show -w {t.id} -o json"):
        assert time.monotonic() < deadline, "the activity was not scheduled"
        time.sleep(0.2)
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"activity complete -w {t.id} --activity-id elsewhere --result '\"by hand\"'")
    t.run(f"workflow result -w {t.id}")
    t.run(f"activity complete -w {t.id} --activity-id elsewhere --result '\"again\"'", text=True)


@story
def traced(t):
    """The trace of a workflow that has ended."""
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id} -i '\"x\"'", json=False)
    t.run(f"workflow trace -w {t.id} --no-fold", json=False)


@story
def paused(t):
    """Paused, described, shown, listed, and let go on."""
    t.run(f"workflow start --type Lonely {NOBODY} -w {t.id}")
    t.run(f"workflow unpause -w {t.id}", text=True)
    t.run(f"workflow pause -w {t.id} --reason 'not now'", text=True)
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"workflow show -w {t.id}", text=True)
    t.run(f"workflow query -w {t.id} --type count", text=True)
    t.run(f"workflow update execute -w {t.id} --name add", text=True)
    t.run(f"workflow unpause -w {t.id} --reason 'go on'", text=True)
    t.run(f"workflow show -w {t.id}", text=True)
    t.run(f"workflow pause -w {t.id}")
    t.run(f"workflow terminate -w {t.id}")
    t.run(f"workflow pause -w {t.id}", text=True)
    t.run(f"workflow unpause -w {t.id}", text=True)
    t.run(f"workflow pause -w {t.id}-nobody", text=True)
