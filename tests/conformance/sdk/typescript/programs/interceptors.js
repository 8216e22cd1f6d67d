'use strict';

// Headers, which interceptors carry from the client through workflow and activity.

const { defaultPayloadConverter } = require('@temporalio/common');
const { Client } = require('@temporalio/client');

const { equal, test } = require('../harness');

const HEADER = 'everlog-trace';

const activities = { greet: async (name) => `Hello, ${name}!` };

/** A client whose starts carry a header. */
function tracing(env, value) {
  const header = { [HEADER]: defaultPayloadConverter.toPayload(value) };
  const carry = (input, next) => next({ ...input, headers: { ...input.headers, ...header } });
  const interceptors = { workflow: [{ start: carry, signal: carry }] };
  return new Client({ connection: env.client.connection, namespace: 'default', interceptors });
}

test('headers', 'What the client sends along reaches the activity.', async (env) => {
  const seen = [];
  const inbound = {
    async execute(input, next) {
      seen.push(defaultPayloadConverter.fromPayload(input.headers[HEADER]));
      return await next(input);
    },
  };
  const interceptors = { activity: [() => ({ inbound })] };
  await env.withWorker({ activities, interceptors }, async () => {
    env.client = tracing(env, 'abc-123');
    equal(await env.execute('greeting', ['you']), 'Hello, you!');
    equal(seen, ['abc-123']);
  });
});
