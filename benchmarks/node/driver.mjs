// Runs a Node session store in its own process. Each line of standard input is a request in JSON,
// and each line of standard output a response. Between requests, the process is idle. The loop is
// that of benchmarks/peer.py: callers that each repeat an operation until the time is over.

import { randomBytes, createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

let store;
let close;
let settings;
let ids;
let versions;

const promised = (method, ...args) =>
  new Promise((resolve, reject) => {
    store[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
  });

// What express-session passes to a store: the data, and the cookie with its deadline.
const session = () => ({
  ...settings.state,
  cookie: { expires: new Date(Date.now() + settings.ttl * 1000), originalMaxAge: settings.ttl },
});

const operations = {
  load: async (id) => {
    const found = await promised('get', id);
    if (!found) throw new Error('the session was not found');
    return found;
  },
  touch: (id) => promised('touch', id, session()),
  update: (id) => promised('set', id, session()),
  request: async (id) => {
    await operations.load(id);
    await operations.touch(id);
  },
  create: () => promised('set', newId(), session()),
};

const newId = () => randomBytes(16).toString('hex');
const idOf = (number) => createHash('sha256').update(`session-${number}`).digest('hex').slice(0, 32);

function caller(operation, number, callers) {
  const size = ids.length;
  if (operation === 'create') return operations.create;
  if (operation === 'rotate') {
    // express-session's regenerate: destroy the old id, store under a new one.
    const mine = Math.ceil((size - (number % size)) / callers);
    return async () => {
      const index = (number % size) + callers * Math.floor(Math.random() * mine);
      const old = ids[index];
      const fresh = newId();
      ids[index] = fresh;
      await promised('destroy', old);
      await promised('set', fresh, session());
    };
  }
  const act = operations[operation];
  return () => act(ids[Math.floor(Math.random() * size)]);
}

async function open(request) {
  settings = request;
  const require = createRequire(request.modules);
  versions = { node: process.version };
  const version = (name) => (versions[name] = require(`${name}/package.json`).version);
  const expressSession = require('express-session');
  if (request.store === 'connect-pg-simple') {
    const { Pool } = require('pg');
    const pool = new Pool({ connectionString: request.url, max: request.pool });
    const Store = require('connect-pg-simple')(expressSession);
    store = new Store({ pool, createTableIfMissing: true });
    close = async () => {
      await store.close();
      await pool.end();
    };
    version('pg');
  } else {
    const Store = require('express-mysql-session')(expressSession);
    const { hostname, port, username, password, pathname } = new URL(request.url);
    store = new Store({
      host: hostname,
      port: Number(port || 3306),
      user: username,
      password: decodeURIComponent(password),
      database: pathname.slice(1),
      connectionLimit: request.pool,
    });
    await store.onReady();
    const inner = store;
    // It returns promises; its callback interface wraps the same code.
    store = {
      get: (id, done) => inner.get(id).then((value) => done(null, value), done),
      set: (id, data, done) => inner.set(id, data).then(() => done(null), done),
      touch: (id, data, done) => inner.touch(id, data).then(() => done(null), done),
      destroy: (id, done) => inner.destroy(id).then(() => done(null), done),
    };
    close = () => inner.close();
    version('mysql2');
  }
  version(request.store);
  ids = Array.from({ length: request.sessions }, (_, number) => idOf(number));
  await promised('set', 'make-the-table', session());
  return { versions };
}

async function run({ operation, callers, seconds }) {
  const latencies = [];
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  const started = performance.now();
  const end = started + seconds * 1000;
  const repeat = async (number) => {
    const act = caller(operation, number, callers);
    for (let now = performance.now(); now < end; ) {
      await act();
      const then = now;
      now = performance.now();
      latencies.push(now - then);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, number) => repeat(number)));
  const elapsed = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  return {
    latencies: latencies.map((value) => value / 1000),
    seconds: elapsed / 1000,
    cpu_seconds: (user + system) / 1e6,
  };
}

async function verify() {
  const first = newId();
  await promised('set', first, session());
  for (const name of ['touch', 'update', 'request']) {
    await operations[name](first);
    const { cookie, ...state } = await operations.load(first);
    if (JSON.stringify(state) !== JSON.stringify(settings.state)) throw new Error('altered');
  }
  await promised('destroy', first);
  if (await promised('get', first)) throw new Error('the old id still works');
  await operations.load(ids[ids.length - 1]);
  return {};
}

const commands = { open, run, verify, close: async () => (await close?.(), {}) };

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await commands[request.command](request);
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}`.split('\n')[0] };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  if (request.command === 'close') break;
}
process.exit(0);
