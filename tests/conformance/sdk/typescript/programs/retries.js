'use strict';

// Activities that fail: retried, given up, timed out; heartbeats that carry over to the next attempt.

const { ApplicationFailure, Context, activityInfo, heartbeat, sleep } = require('@temporalio/activity');

const { assert, equal, pause, test } = require('../harness');

const activities = {
  async thirdTimeLucky() {
    const { attempt } = activityInfo();
    if (attempt < 3) {
      throw new Error(`attempt ${attempt}`);
    }
    return attempt;
  },
  async fails(type, nonRetryable) {
    throw ApplicationFailure.create({ message: 'no luck', type, nonRetryable, details: [{ type }, 7] });
  },
  async asksForADelay() {
    const { attempt, currentAttemptScheduledTimestampMs, scheduledTimestampMs } = activityInfo();
    if (attempt === 1) {
      throw ApplicationFailure.create({ message: 'later', nextRetryDelay: '1s' });
    }
    return currentAttemptScheduledTimestampMs - scheduledTimestampMs;
  },
  async sleeps() {
    await Promise.race([sleep('30s'), Context.current().cancelled]);
  },
  async beatsAndStops() {
    if (activityInfo().attempt === 1) {
      heartbeat({ half: 50 });
      await pause(3000);
    }
    return activityInfo().heartbeatDetails;
  },
};

test('third_time_lucky', 'Two failures, then a result.', async (env) => {
  await env.withWorker({ activities }, async () => equal(await env.execute('retries'), 3));
});

const GIVEN_UP = [
  ['attempts_run_out', [false, 2, []], 'MAXIMUM_ATTEMPTS_REACHED'],
  ['not_retryable', [true, 5, []], 'NON_RETRYABLE_FAILURE'],
  ['listed_as_not_retryable', [false, 5, ['Sad']], 'NON_RETRYABLE_FAILURE'],
];
for (const [name, options, retryState] of GIVEN_UP) {
  test(name, 'The workflow learns why nothing more is tried.', async (env) => {
    await env.withWorker({ activities }, async () => {
      equal(await env.execute('caught', ['Sad', ...options]), {
        type: 'Sad',
        message: 'no luck',
        details: [{ type: 'Sad' }, 7],
        activityType: 'fails',
        retryState,
      });
    });
  });
}

test('delay_of_its_own', 'A failure says when the next attempt is due.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const waited = await env.execute('delayed');
    assert(waited >= 1000 && waited < 3000, `waited for ${waited} ms`);
  });
});

const TIMED_OUT = [
  [
    'start_to_close',
    { startToCloseTimeout: '1s', retry: { maximumAttempts: 1 } },
    'START_TO_CLOSE',
    'MAXIMUM_ATTEMPTS_REACHED',
  ],
  [
    'heartbeat',
    { startToCloseTimeout: '20s', heartbeatTimeout: '1s', retry: { maximumAttempts: 1 } },
    'HEARTBEAT',
    'MAXIMUM_ATTEMPTS_REACHED',
  ],
  [
    'schedule_to_start',
    { scheduleToStartTimeout: '1s', startToCloseTimeout: '20s', taskQueue: 'nobody-polls-this-queue' },
    'SCHEDULE_TO_START',
    'TIMEOUT',
  ],
];
for (const [name, options, timeoutType, retryState] of TIMED_OUT) {
  test(name, 'The workflow learns which time-out it was.', async (env) => {
    await env.withWorker({ activities }, async () => {
      equal(await env.execute('timesOut', [options]), { timeoutType, retryState });
    });
  });
}

test('heartbeat_details', 'What the first attempt reported, the second is told.', async (env) => {
  await env.withWorker({ activities }, async () => equal(await env.execute('heartbeats'), { half: 50 }));
});
