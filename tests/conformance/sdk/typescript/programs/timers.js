'use strict';

// Time as workflows see it.

const { assert, equal, test } = require('../harness');

test('slept', 'Not less than was asked for.', async (env) => {
  await env.withWorker({}, async () => {
    const milliseconds = await env.execute('slept', [700]);
    assert(milliseconds >= 700, `${milliseconds} ms`);
  });
});

test('race', 'The short timer wins; the long one goes with the workflow.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('race'), 'fast'));
});

test('many', 'A hundred at once.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('manyTimers', [100]), 100));
});

test('cancelled', 'A timer in a scope that is cancelled.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('cancelledTimer'), 'cancelled'));
});

test('conditions', 'Waiting with and without success.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('conditions'), [true, false]));
});

test('start_delay', 'A start that waits.', async (env) => {
  await env.withWorker({}, async () => {
    const begun = Date.now();
    await env.execute('nothing', [], { startDelay: '1s' });
    assert(Date.now() - begun >= 1000, 'too early');
  });
});
