"""The shortest stories: one start, one task, one end."""

from ..case import script
from ..commands import complete_workflow, schedule_activity, start_timer


@script
def hello(t):
    """Start, one workflow task, complete: the four events everything is made of."""
    t.start()
    task = t.poll()
    t.complete(task, complete_workflow())
    t.describe()


@script
def one_activity(t):
    """ActivityTaskStarted is written only together with the completion."""
    t.start()
    t.step(schedule_activity(t))
    activity = t.poll_activity()
    t.describe()
    t.complete_activity(activity)
    t.step(complete_workflow())


@script
def one_timer(t):
    """A timer fires and gives the workflow its next task."""
    t.start()
    t.step(start_timer(after=1))
    t.describe()
    t.step(complete_workflow())
