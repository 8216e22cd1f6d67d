'use strict';

// Schedules.

const { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } = require('@temporalio/client');

const { assert, equal, raises, test, until } = require('../harness');

const FAR = { intervals: [{ every: '8000h' }] };

const create = (env, spec, more = {}) =>
  env.client.schedule.create({
    scheduleId: env.id(),
    spec,
    action: {
      type: 'startWorkflow',
      workflowType: 'greeting',
      args: ['schedule'],
      taskQueue: env.queue,
      workflowId: env.id('run'),
    },
    ...more,
  });

const activities = { greet: async (name) => `Hello, ${name}!` };

test(
  'described',
  'A calendar with everything, as it was given.',
  async (env) => {
    const calendar = {
      comment: 'early',
      dayOfWeek: [{ start: 'MONDAY', end: 'FRIDAY' }],
      hour: 5,
      minute: { start: 0, end: 45, step: 15 },
    };
    const handle = await create(
      env,
      { calendars: [calendar], timezone: 'Europe/Berlin', jitter: '5m' },
      {
        policies: { overlap: ScheduleOverlapPolicy.BUFFER_ONE, catchupWindow: '1h', pauseOnFailure: true },
        state: { paused: true, note: 'careful', remainingActions: 7 },
        memo: { why: 'a test' },
      },
    );
    const { memo, policies, spec, state, info } = await handle.describe();
    equal(memo, { why: 'a test' });
    equal([policies.overlap, policies.catchupWindow, policies.pauseOnFailure], ['BUFFER_ONE', 3_600_000, true]);
    equal([state.paused, state.note, state.remainingActions], [true, 'careful', 7]);
    equal([spec.timezone, spec.jitter, spec.calendars[0].comment], ['Europe/Berlin', 300_000, 'early']);
    equal([info.nextActionTimes.length, info.numActionsTaken], [7, 0]);
    await raises(ScheduleAlreadyRunning, create(env, FAR));
    await handle.delete();
    await raises(ScheduleNotFoundError, handle.describe());
  },
  { worker: false },
);

test('triggered_and_backfilled', 'The worker does what the schedule starts.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const handle = await create(env, { cronExpressions: ['@daily'] }, { state: { paused: true } });
    await handle.trigger(ScheduleOverlapPolicy.ALLOW_ALL);
    await handle.backfill({
      start: new Date('2030-03-17T12:00:00Z'),
      end: new Date('2030-03-19T12:00:00Z'),
      overlap: ScheduleOverlapPolicy.ALLOW_ALL,
    });
    const { info } = await until('three actions', async () => {
      const description = await handle.describe();
      return description.info.numActionsTaken === 3 && description;
    });
    equal(info.recentActions.length, 3);
    for (const { action } of info.recentActions) {
      const { workflowId, firstExecutionRunId } = action.workflow;
      equal(await env.client.workflow.getHandle(workflowId, firstExecutionRunId).result(), 'Hello, schedule!');
    }
    await handle.delete();
  });
});

test('every_second', 'Three times by the clock.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const handle = await create(env, { intervals: [{ every: '1s' }] }, { state: { remainingActions: 3 } });
    await until('three actions', async () => (await handle.describe()).info.numActionsTaken === 3);
    await handle.delete();
  });
});

test(
  'paused_and_updated',
  'Paused, unpaused, and given another definition.',
  async (env) => {
    const handle = await create(env, FAR);
    await handle.pause('stop');
    await until('it to be paused', async () => (await handle.describe()).state.paused);
    await handle.unpause('go');
    await until('it to go on', async () => (await handle.describe()).state.note === 'go');
    await handle.update((previous) => ({ ...previous, spec: { intervals: [{ every: '9000h', offset: '1h' }] } }));
    const { spec } = await until('the update', async () => {
      const description = await handle.describe();
      return description.spec.intervals[0].every === 9000 * 3_600_000 && description;
    });
    equal(spec.intervals[0].offset, 3_600_000);
    await handle.delete();
  },
  { worker: false },
);

test(
  'listed',
  'Found among the others.',
  async (env) => {
    const handle = await create(env, FAR, { state: { note: 'in a list' } });
    const found = await until('it to be listed', async () => {
      for await (const summary of env.client.schedule.list({ query: `ScheduleId = '${env.id()}'` })) {
        return summary;
      }
    });
    equal([found.scheduleId, found.action.workflowType, found.state.note], [env.id(), 'greeting', 'in a list']);
    assert(found.info.nextActionTimes.length > 0);
    await handle.delete();
  },
  { worker: false },
);
