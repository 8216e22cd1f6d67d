"""`temporal schedule`: every leaf command."""

import time

from ..case import story

FAR = "--interval 8000h"
BOX = "--type Box"


def create(t, *more):
    return f"schedule create -s {t.id} {' '.join(more)} {BOX} --task-queue {t.queue} -w {t.id}-run"


def until(t, text):
    """Waits until the description has a text: the real server acts a moment after it has answered."""
    deadline = time.monotonic() + 20
    while text not in t.quietly(f"schedule describe -s {t.id} -o json"):
        assert time.monotonic() < deadline, f"waited in vain for {text}"
        time.sleep(0.2)


@story
def created_described_deleted(t):
    """With notes, policies, a memo and a calendar."""
    t.run(
        create(
            t,
            '--calendar \'{"hour":"5","dayOfWeek":"mon-fri","comment":"early"}\'',
            "--time-zone Europe/Berlin --overlap-policy BufferOne --catchup-window 1h --jitter 5m",
            "--notes careful --pause-on-failure --schedule-memo 'why=\"a test\"' -i '\"word\"'",
        ),
        text=True,
        json=False,
    )
    t.run(f"schedule describe -s {t.id}")
    t.run(create(t, FAR), json=False)
    t.run(f"schedule delete -s {t.id}", json=False)
    t.run(f"schedule describe -s {t.id}", json=False)
    t.run(f"schedule delete -s {t.id}", json=False)


@story
def triggered(t):
    """The worker does what the schedule starts."""
    t.quietly(create(t, FAR, "-i '\"word\"'"))
    t.run(f"schedule trigger -s {t.id}", json=False)
    until(t, '"actionCount": "1"')
    t.keys(f"schedule describe -s {t.id}", "actionCount", "recentActions", "createTime", "conflictToken")
    t.quietly(f"schedule delete -s {t.id}")


@story
def backfilled(t):
    """Three days at once."""
    t.quietly(create(t, "--cron '@daily'", "--paused", "-i '\"word\"'"))
    t.run(
        f"schedule backfill -s {t.id} --start-time 2030-03-17T00:00:00Z --end-time 2030-03-19T00:00:00Z"
        " --overlap-policy AllowAll",
        json=False,
    )
    until(t, '"actionCount": "3"')
    t.quietly(f"schedule delete -s {t.id}")


@story
def toggled_and_updated(t):
    """Paused, unpaused, and replaced by another definition."""
    t.quietly(create(t, FAR))
    t.run(f"schedule toggle -s {t.id} --pause --reason stop", json=False)
    until(t, '"paused": true')
    t.run(f"schedule toggle -s {t.id} --unpause --reason go", json=False)
    until(t, '"notes": "go"')
    t.run(f"schedule toggle -s {t.id}", json=False)
    t.run(
        f"schedule update -s {t.id} --cron '0 3 * * SUN' --overlap-policy AllowAll {BOX}"
        f" --task-queue {t.queue} -w {t.id}-other --remaining-actions 7",
        json=False,
    )
    until(t, '"remainingActions": "7"')
    t.run(f"schedule describe -s {t.id}")
    t.quietly(f"schedule delete -s {t.id}")


@story
def listed(t):
    """Found by its id."""
    t.quietly(create(t, FAR, "--notes 'in a list'"))
    deadline = time.monotonic() + 20
    query = f"ScheduleId = '{t.id}'"
    while t.id not in t.quietly(f'schedule list --query "{query}" -o json'):
        assert time.monotonic() < deadline, "it is not in the list"
        time.sleep(0.2)
    t.run(f'schedule list --query "{query}"', text=True)
    t.run(f'schedule list --query "{query}" --long', json=False)
    t.run("schedule list --query nonsense", json=False)
    t.quietly(f"schedule delete -s {t.id}")


@story
def mistakes(t):
    """Refused by the server, in its words."""
    t.run(create(t, "--cron '60 * * * *'"), json=False)
    t.run(create(t, "--cron '0 1 * * *'", "--time-zone Nowhere/Land"), json=False)
    t.run(create(t, "--interval 500ms"), json=False)
    t.run(f"schedule describe -s {t.id}", json=False)
    t.run(f"schedule trigger -s {t.id}", json=False)
    t.run(f"schedule toggle -s {t.id} --pause", json=False)


@story
def matching_times(t):
    """The times of a schedule in a span."""
    t.quietly(create(t, "--cron '0 12 * * MON'"))
    span = "--start-time 2030-03-01T00:00:00Z --end-time 2030-04-01T00:00:00Z"
    t.run(f"schedule list-matching-times -s {t.id} {span}", text=True)
    t.run(f"schedule list-matching-times -s {t.id}-nobody {span}", text=True)
    t.quietly(f"schedule delete -s {t.id}")
