'use strict';

const {
  ApplicationFailure,
  CancellationScope,
  createNexusServiceClient,
  sleep,
} = require('@temporalio/workflow');

const { desk } = require('./desk');

async function doubler(number) {
  await sleep(50);
  return number * 2;
}

async function breaker(number) {
  throw ApplicationFailure.create({ message: `broken ${number}`, type: 'Broken', nonRetryable: true });
}

async function endless() {
  await sleep('30h');
}

const WAYS = {
  at_once: (client) => client.executeOperation('echo', 'hello'),
  async doubled(client) {
    const handle = await client.startOperation('double', 21);
    return [Boolean(handle.token), await handle.result()];
  },
  many(client) {
    const numbers = Array.from({ length: 8 }, (_, number) => number);
    return Promise.all(numbers.map((number) => client.executeOperation('double', number)));
  },
  stumbled: (client) => client.executeOperation('stumble', 'try'),
  refused: (client) => client.executeOperation('refuse', 'operation'),
  not_for_us: (client) => client.executeOperation('refuse', 'handler'),
  broken: (client) => client.executeOperation('breaks', 7),
  too_slow: (client) => client.executeOperation('endless', 1, { scheduleToCloseTimeout: '1.9s' }),
};

/** Calls an operation in the way that it is told. */
async function caller(endpoint, way) {
  return await WAYS[way](createNexusServiceClient({ endpoint, service: desk }));
}

/** Cancels an operation that has been started, and tells what it came to. */
async function canceller(endpoint, cancellationType) {
  const client = createNexusServiceClient({ endpoint, service: desk });
  const scope = new CancellationScope();
  try {
    await scope.run(async () => {
      const handle = await client.startOperation('endless', 1, { cancellationType });
      scope.cancel();
      await handle.result();
    });
  } catch (error) {
    return [error.name, error.cause?.name];
  }
  return 'not cancelled';
}

module.exports = { doubler, breaker, endless, caller, canceller };
