'use strict';

// What makes replays come out alike: recorded chance, time and patches.

const { assert, equal, test } = require('../harness');

test('chance_and_time', 'Random numbers and the clock.', async (env) => {
  await env.withWorker({}, async () => {
    const { before, after } = await env.execute('chance');
    assert(before[0] !== after[0] && before[1] !== after[1]);
    assert(after[2] - before[2] >= 100);
  });
});

test('patches', 'A patch is remembered in the history, and found by its name.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('patchedOnce');
    await handle.signal('go');
    equal(await handle.result(), ['new', 'new']);
    const { events } = await handle.fetchHistory();
    const markers = events.map((event) => event.markerRecordedEventAttributes).filter(Boolean);
    equal(
      markers.map(({ markerName }) => markerName),
      ['core_patch', 'core_patch'],
    );
    const { searchAttributes } = await handle.describe();
    assert(JSON.stringify(searchAttributes.TemporalChangeVersion).includes('first-change'), searchAttributes);
  });
});
