'use strict';

// Local activities: in the history they are markers.

const { activityInfo } = require('@temporalio/activity');

const { assert, equal, pause, test } = require('../harness');

const activities = {
  double: async (number) => 2 * number,
  async thirdTimeLocally() {
    const { attempt } = activityInfo();
    if (attempt < 3) {
      throw new Error(`attempt ${attempt}`);
    }
    return attempt;
  },
  async failsLocally() {
    throw new Error('no luck here');
  },
  async takesFourSeconds() {
    await pause(4000);
    return activityInfo().attempt;
  },
};

test('several', 'One after the other and all at once.', async (env) => {
  await env.withWorker({ activities }, async () => {
    equal(await env.execute('localOnes', [[1, 2, 3]]), [
      [2, 4, 6],
      [2, 4, 6],
    ]);
    const { events } = await env.handles[0].fetchHistory();
    equal(events.filter((event) => event.markerRecordedEventAttributes).length, 6);
    assert(!events.some((event) => event.activityTaskScheduledEventAttributes));
  });
});

test('retried', 'Within one task of the workflow.', async (env) => {
  await env.withWorker({ activities }, async () => equal(await env.execute('localRetries'), 3));
});

test('retried_after_a_timer', 'A long pause is a timer of the server.', async (env) => {
  await env.withWorker({ activities }, async () => equal(await env.execute('localBackOff'), 3));
});

test('failed', 'The workflow learns what it was.', async (env) => {
  await env.withWorker({ activities }, async () => equal(await env.execute('localFailure'), 'no luck here'));
});

test('long', 'The worker keeps its task by heartbeats.', async (env) => {
  await env.withWorker({ activities }, async () => {
    equal(await env.execute('localAndLong', [], { workflowTaskTimeout: '2s' }), 1);
  });
});
