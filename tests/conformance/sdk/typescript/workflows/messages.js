'use strict';

const {
  condition,
  defineQuery,
  defineSignal,
  setDefaultSignalHandler,
  setHandler,
} = require('@temporalio/workflow');

const put = defineSignal('put');
const finish = defineSignal('finish');
const items = defineQuery('items');
const total = defineQuery('total');

/** Keeps what it is sent, until it is told to end. */
async function box() {
  const kept = [];
  let done = false;
  setHandler(put, (item) => void kept.push(item), { description: 'one more item' });
  setHandler(finish, () => {
    done = true;
  });
  setHandler(items, () => kept);
  setHandler(total, (factor) => kept.reduce((sum, item) => sum + item * factor, 0));
  setDefaultSignalHandler((name, ...values) => {
    kept.push(`${name}: ${values.join(', ')}`);
  });
  await condition(() => done);
  return kept;
}

/** Waits for so many signals, whose handlers wait too. */
async function slowHandlers(count) {
  let finished = 0;
  setHandler(put, async (milliseconds) => {
    await condition(() => false, milliseconds);
    finished += 1;
  });
  await condition(() => finished === count);
  return finished;
}

module.exports = { box, slowHandlers };
