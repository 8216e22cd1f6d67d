'use strict';

// The first programs that everybody writes.

const { equal, pause, test } = require('../harness');

const activities = { greet: async (name) => `Hello, ${name}!` };

test('hello', 'One workflow, one activity, one result.', async (env) => {
  await env.withWorker({ activities }, async () => {
    equal(await env.execute('greeting', ['world']), 'Hello, world!');
  });
});

test('nothing', 'A workflow that does nothing.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('nothing'), undefined));
});

test('several_activities', 'One after the other and all at once.', async (env) => {
  const names = [...'abcdefgh'];
  await env.withWorker({ activities }, async () => {
    const { oneByOne, atOnce } = await env.execute('manyGreetings', [names]);
    equal(
      oneByOne,
      names.map((name) => `Hello, ${name}!`),
    );
    equal(atOnce, oneByOne);
  });
});

test('many_workflows', 'Twenty workflows at a time.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const numbers = Array.from({ length: 20 }, (_, number) => `${number}`);
    const results = numbers.map((number) => env.execute('greeting', [number], { workflowId: env.id(number) }));
    equal(
      await Promise.all(results),
      numbers.map((number) => `Hello, ${number}!`),
    );
  });
});

test('started_before_the_worker', 'The workflow waits for its worker.', async (env) => {
  const handle = await env.start('greeting', ['late']);
  await pause(1000);
  await env.withWorker({ activities }, async () => equal(await handle.result(), 'Hello, late!'));
});

test('what_it_knows', 'A workflow is told who it is.', async (env) => {
  await env.withWorker({}, async () => {
    equal(await env.execute('whoAmI', [], { memo: { note: [1, 'two'] } }), {
      workflowId: env.id(),
      workflowType: 'whoAmI',
      taskQueue: env.queue,
      namespace: 'default',
      attempt: 1,
      memo: { note: [1, 'two'] },
    });
  });
});

test('large_payloads', 'A quarter of a megabyte there and back.', async (env) => {
  const name = 'x'.repeat(1 << 18);
  await env.withWorker({ activities }, async () => {
    equal(await env.execute('greeting', [name]), `Hello, ${name}!`);
  });
});
