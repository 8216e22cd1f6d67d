'use strict';

// Runs the cases of one subject: `node main.js SUBJECT ADDRESSES NONCE BUNDLE CASE..`, or names the cases of all
// subjects: `node main.js --list`. One line of JSON is written for each case; the parent kills this process when its
// time is over.

const fs = require('node:fs');
const path = require('node:path');

const CASES_AT_A_TIME = 4;
const FRAMES_MAX = 8;
const CASE_SECONDS_MAX = 120;
const PREFIX = 'typescript/';

function subjects() {
  const files = fs.readdirSync(path.join(__dirname, 'programs')).sort();
  return files.filter((file) => file.endsWith('.js')).map((file) => path.basename(file, '.js'));
}

/** The cases that a subject's file registers. */
function casesOf(subject) {
  const { CASES } = require('./harness');
  CASES.length = 0;
  require(`./programs/${subject}`);
  return CASES.map((definition) => ({ ...definition, title: `${PREFIX}${subject}.${definition.name}` }));
}

function list() {
  for (const subject of subjects()) {
    console.log(JSON.stringify({ subject, cases: casesOf(subject).map(({ title }) => title) }));
  }
}

async function run(subject, addresses, nonce, codePath, titles) {
  const { DefaultLogger, Runtime } = require('@temporalio/worker');
  const { Env, Nodes } = require('./harness');
  // Workflows and activities fail on purpose here; what matters is thrown.
  Runtime.install({
    logger: new DefaultLogger('ERROR', () => {}),
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
    shutdownSignals: [],
    // As often as they can: one of the subjects waits for them.
    workerHeartbeatInterval: '1s',
  });
  const nodes = await Nodes.connect(addresses);
  const waiting = casesOf(subject).filter(({ title }) => titles.includes(title));
  const lane = async () => {
    for (let definition = waiting.shift(); definition; definition = waiting.shift()) {
      const begun = performance.now();
      const env = new Env(subject, definition, nodes, nonce, { codePath });
      let complaint = '';
      try {
        await limited(definition.body(env).then(() => env.replayEverything()));
      } catch (error) {
        complaint = story(error);
      }
      const seconds = (performance.now() - begun) / 1000;
      console.log(JSON.stringify({ case: definition.title, seconds, complaint }));
    }
  };
  await Promise.all(Array.from({ length: CASES_AT_A_TIME }, lane));
}

/** What hangs is told, and left to end with the process. */
async function limited(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${CASE_SECONDS_MAX} s`)), CASE_SECONDS_MAX * 1000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function story(error) {
  const lines = String(error.stack ?? error)
    .split('\n')
    .slice(0, FRAMES_MAX);
  for (let cause = error.cause; cause; cause = cause.cause) {
    lines.push(`because of ${cause.name}: ${cause.message}`);
  }
  return lines.join('\n');
}

async function main() {
  const [subject, addresses, nonce, bundle, ...titles] = process.argv.slice(2);
  if (subject === '--list') {
    list();
  } else {
    await run(subject, addresses.split(','), nonce, bundle, titles);
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
