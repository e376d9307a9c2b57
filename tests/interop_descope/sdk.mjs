// Runs every outbound-application function of npm `@descope/node-sdk`, which is not ours and not
// changed, against a Strongroom, and says what it saw. What it says and asks for is what `sdk.py`
// says and asks for; what is checked is the same.
//
// Use:     node sdk.mjs '{"url":"…","project":"…","key":"…","node_modules":"…",…}'

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);
const base = join(settings.node_modules, 'beside.js');
const { default: DescopeClient } = await import(
  pathToFileURL(createRequire(base).resolve('@descope/node-sdk')).href
);
// Under CommonJS the whole module is what is exported by default.
const newClient = DescopeClient.default ?? DescopeClient;

const NO_TOKEN = [404, 'E152102'];
const SCOPE = 'calendar.read';
const CONNECT = 'outbound.connect';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const input = createInterface({ input: process.stdin });
const replies = input[Symbol.asyncIterator]();

// Has the other side do something, and returns what it says.
async function ask(what, more = {}) {
  say({ do: what, ...more });
  return JSON.parse((await replies.next()).value);
}

// A client as a program makes one; with `token`, as its samples do it: no management key, and
// something else in its place by a hook.
class Sdk {
  constructor({ key, token }) {
    this.prefix = token ? 'by_token.' : '';
    this.seen = [];
    this.sent = [];
    const beforeRequest = (request) => {
      this.sent.push({ path: request.path, headers: request.headers });
      return token ? { ...request, token } : request;
    };
    const afterRequest = (request, response) => {
      const path = `/${request.path}`.replace('//', '/');
      this.seen.push({ endpoint: `${request.method} ${path}`, status: response.status });
    };
    this.client = newClient({
      projectId: settings.project,
      baseUrl: settings.url,
      managementKey: key,
      hooks: { beforeRequest: [beforeRequest], afterRequest: [afterRequest] },
    });
    this.outbound = this.client.management.outboundApplication;
  }

  checked(name, what, endpoint = this.seen.at(-1).endpoint) {
    say({ checked: { function: this.prefix + name, endpoint, what } });
  }

  // One for outbound applications, or the one that stands beside them.
  functionOf(name) {
    return name === CONNECT ? this.client.outbound.connect : this.outbound[name];
  }

  // A call that is the only one under way, so that what was seen last is its own.
  async call(name, args) {
    const before = this.seen.length;
    const answer = await this.functionOf(name)(...args);
    const own = this.seen.slice(before).filter((one) => !one.endpoint.includes('license'));
    assert.equal(own.length, 1, `${name}: ${JSON.stringify(own)}`);
    assert.equal(own[0].status, answer.code, name);
    return { answer, endpoint: own[0].endpoint };
  }

  async ok(what, name, ...args) {
    const { answer, endpoint } = await this.call(name, args);
    assert.ok(answer.ok && answer.code === 200, `${name} ${what}: ${JSON.stringify(answer)}`);
    if (what) this.checked(name, what, endpoint);
    return answer.data;
  }

  // The SDK's own answer has this status and this code of ours.
  async refused(what, [status, code], name, ...args) {
    const { answer, endpoint } = await this.call(name, args);
    const shown = `${name} ${what}: ${JSON.stringify(answer)}`;
    assert.ok(!answer.ok && answer.data === undefined, shown);
    assert.deepEqual([answer.code, answer.error.errorCode], [status, code], shown);
    assert.ok(answer.error.errorDescription && answer.error.errorMessage, shown);
    this.checked(name, what, endpoint);
    return answer.error;
  }

  async later(name, ...args) {
    const error = await this.refused('429', [429, 'E130429'], name, ...args);
    assert.ok(error.errorMessage.includes('locked') && error.retryAfter > 0, JSON.stringify(error));
  }
}

const FETCHES = {
  fetchToken: 'u1',
  fetchTokenByScopes: 'u1',
  fetchTenantToken: 't1',
  fetchTenantTokenByScopes: 't1',
};

// The arguments of a fetch, options where its function has them.
function fetching(name, app, owner, options) {
  if (name.endsWith('ByScopes')) return [app, owner, [SCOPE], options];
  return name === 'fetchToken' ? [app, owner, undefined, options] : [app, owner, options];
}

const wrongKey = settings.key.slice(0, -1) + (settings.key.endsWith('A') ? 'Q' : 'A');
const sdk = new Sdk({ key: settings.key });
const byToken = new Sdk({ token: settings.key });
const wrong = new Sdk({ key: wrongKey });
const wrongToken = new Sdk({ token: wrongKey });
const bare = new Sdk({ key: settings.powerless });
const bareToken = new Sdk({ token: settings.powerless });

// All that an app has.
const oauth = (more = {}) => ({
  name: 'Mail',
  description: 'Letters',
  logo: 'https://app.example/logo.png',
  id: 'mail',
  appType: 'oauth',
  clientId: 'demo',
  clientSecret: settings.client_secret,
  discoveryUrl: `${settings.issuer}/.well-known/openid-configuration`,
  authorizationUrl: `${settings.issuer}/authorize`,
  authorizationUrlParams: [{ key: 'audience', value: 'api' }],
  tokenUrl: `${settings.issuer}/token`,
  tokenUrlParams: [{ key: 'resource', value: 'https://api.example' }],
  revocationUrl: `${settings.issuer}/revoke`,
  defaultScopes: [SCOPE, 'openid'],
  defaultRedirectUrl: 'https://app.example/done',
  callbackDomain: '127.0.0.1',
  pkce: true,
  accessType: 'offline',
  prompt: ['consent', 'select_account'],
  ...more,
});

// What a client asks by itself, and what it asks when it checks a signature.
async function made() {
  const tier = () => sdk.sent.at(-1).headers?.['x-descope-license'];
  // It is not waited for by the SDK; once it is there, every request has it.
  for (let tries = 0; tier() !== 'tier4' && tries < 1000; tries += 1) {
    await sdk.outbound.loadAllApplications();
  }
  assert.equal(tier(), 'tier4');
  const license = sdk.seen.find((one) => one.endpoint.includes('license'));
  assert.equal(license.status, 200);
  sdk.checked('DescopeClient', 'the tier', license.endpoint);
  await assert.rejects(sdk.client.getKey({ kid: 'k1', alg: 'RS256' }), /failed to fetch matching/);
  assert.equal(sdk.seen.at(-1).status, 200);
  sdk.checked('getKey', 'no key');
}

async function apps() {
  const app = await sdk.ok('an OAuth app', 'createApplication', oauth());
  const { clientSecret: _, callbackDomain: __, ...given } = oauth();
  for (const [name, value] of Object.entries(given)) {
    assert.deepEqual(app[name], value, name);
  }
  assert.ok(!('clientSecret' in app));
  assert.deepEqual(await sdk.ok('as it was made', 'loadApplication', 'mail'), app);
  const keyed = { id: 'pigeons', name: 'Pigeons', appType: 'apikey' };
  const made = await sdk.ok('an API-key app', 'createApplication', keyed);
  assert.deepEqual([made.id, made.appType], ['pigeons', 'apikey']);
  const every = await sdk.ok('every app', 'loadAllApplications');
  assert.deepEqual(Object.fromEntries(every.map((one) => [one.id, one.appType])), {
    demo: 'oauth', mail: 'oauth', pigeons: 'apikey', weather: 'apikey',
  });
  await change(app);
  const bad = [400, 'E011002'];
  await sdk.refused('400', bad, 'createApplication', { name: 'No client' });
  await sdk.refused('400', [400, 'E151001'], 'createApplication', oauth());
  await sdk.refused('400', bad, 'updateApplication', { id: undefined, name: 'Nobody' });
  await sdk.refused('400', bad, 'deleteApplication', undefined);
  await ofTemplate(bad);
  const unknown = [404, 'S000404'];
  await sdk.refused('404', unknown, 'loadApplication', 'none');
  await sdk.refused('404', unknown, 'updateApplication', oauth({ id: 'none' }));
  await sdk.refused('404', unknown, 'deleteApplication', 'none');
  await sdk.ok('with its tokens', 'deleteApplication', 'mail');
  await sdk.ok(null, 'deleteApplication', 'pigeons');
  await sdk.refused('404', unknown, 'loadApplication', 'mail');
  await sdk.ok(null, 'createApplication', oauth());
  await sdk.refused('404 nothing stored', NO_TOKEN, 'fetchToken', 'mail', 'u1');
  await sdk.ok(null, 'deleteApplication', 'mail');
}

// A template fills in what is not said.
async function ofTemplate(bad) {
  const wish = {
    templateId: 'hubspot', id: 'hub', clientId: 'c', clientSecret: 's', overrides: { name: 'H' },
  };
  const app = await sdk.ok('an OAuth app', 'createApplicationByTemplate', wish);
  assert.deepEqual([app.id, app.name, app.clientId], ['hub', 'H', 'c']);
  assert.match(app.authorizationUrl, /^https:\/\/app\.hubspot\.com\//);
  await sdk.ok(null, 'deleteApplication', 'hub');
  await sdk.refused('400', bad, 'createApplicationByTemplate', { templateId: 'hubspot' });
  const none = { ...wish, templateId: 'none-such' };
  await sdk.refused('400', [400, 'E011004'], 'createApplicationByTemplate', none);
}

// An update is the whole app, and keeps the secret: a refresh needs it.
async function change(app) {
  const { refresh_token: refreshToken } = await ask('grant', { user: 'u1' });
  const token = { appId: 'mail', userId: 'u1', refreshToken, scopes: [SCOPE] };
  await sdk.ok(null, 'uploadUserToken', token);
  const { description: _, clientSecret: __, prompt: ___, ...rest } = oauth({ name: 'Post' });
  const changed = await sdk.ok('the whole app', 'updateApplication', rest);
  assert.deepEqual(changed, { ...app, name: 'Post', description: '', prompt: [] });
  await sdk.ok(null, 'fetchToken', 'mail', 'u1', undefined, { forceRefresh: true });
  sdk.checked('updateApplication', 'the secret stays', 'POST /v1/mgmt/outbound/app/update');
}

const LEVELS = {
  User: { id: 'userId', owner: 'u1', fetch: 'fetchToken' },
  Tenant: { id: 'tenantId', owner: 't1', fetch: 'fetchTenantToken' },
};

async function uploads(level, { id, owner, fetch }) {
  const upload = `upload${level}Token`;
  const grant = await ask('grant', { user: 'u1' });
  const whole = {
    appId: 'demo', [id]: owner, refreshToken: grant.refresh_token,
    accessToken: grant.access_token, accessTokenExpiry: grant.expires_at,
    accessTokenType: 'Bearer', scopes: [SCOPE], externalIdentifier: 'work',
  };
  const further = { idToken: 'a.b.c', grantedBy: 'u7', verifyRefresh: false };
  await sdk.ok('with all that was said', upload, { ...whole, ...further });
  const wish = { withRefreshToken: true };
  const token = await sdk.ok(null, fetch, ...fetching(fetch, 'demo', owner, wish));
  const shown = { ...whole, accessTokenExpiry: String(grant.expires_at), grantedBy: 'u7' };
  for (const [name, value] of Object.entries({ ...shown, hasRefreshToken: true })) {
    assert.deepEqual(token[name], value, name);
  }
  const fresh = await ask('grant', { user: 'u1' });
  const tried = {
    appId: 'demo', [id]: `tried-${owner}`, refreshToken: fresh.refresh_token, scopes: [SCOPE],
    verifyRefresh: true,
  };
  await sdk.ok('tried first', upload, tried);
  const refreshed = await sdk.ok(null, fetch, 'demo', `tried-${owner}`);
  assert.ok(refreshed.lastRefreshTime && (await ask('is_live', { token: refreshed.accessToken })));
  const spent = { ...tried, [id]: 'x', refreshToken: 'spent-long-ago' };
  await sdk.refused('400 refresh refused', [400, 'E011004'], upload, spent);
  await sdk.refused('400', [400, 'E011002'], upload, { appId: 'demo', [id]: 'x' });
  const misplaced = { appId: 'weather', [id]: 'x', accessToken: 'a' };
  await sdk.refused('400', [400, 'E011003'], upload, misplaced);
  await sdk.refused('404', [404, 'S000404'], upload, { ...misplaced, appId: 'none' });
  for (const user of ['gone', 'stale']) {
    const given = await ask('grant', { user });
    await sdk.ok(null, upload, {
      appId: 'demo', [id]: user, refreshToken: given.refresh_token, scopes: [SCOPE],
      accessToken: given.access_token, accessTokenExpiry: given.expires_at,
    });
  }
  if (level !== 'User') return;
  const member = { appId: 'demo', userId: 'member', tenantId: 't1', accessToken: 'of-member' };
  await sdk.ok('in a tenant', upload, member);
  const there = await sdk.ok(null, 'fetchToken', 'demo', 'member', 't1');
  assert.equal(there.accessToken, 'of-member');
}

async function batches(level, { id, fetch }) {
  const upload = `batchUpload${level}Tokens`;
  const item = (owner) => ({ appId: 'demo', [id]: owner, accessToken: `of-${owner}` });
  const stored = await sdk.ok('stored whole', upload, [item('b1'), item('b2')]);
  assert.deepEqual(stored, { failures: [] });
  assert.equal((await sdk.ok(null, fetch, 'demo', 'b2')).accessToken, 'of-b2');
  const bad = [item('b3'), { appId: 'demo', [id]: 'b4' }];
  const { failures } = await sdk.ok('nothing for one bad item', upload, bad);
  const [{ reason, ...failure }] = failures;
  assert.equal(failures.length, 1);
  assert.deepEqual(failure, { appId: 'demo', [id]: 'b4', errorCode: 'E152110' });
  assert.ok(reason);
  await sdk.refused('404 nothing stored', NO_TOKEN, fetch, 'demo', 'b3');
  await sdk.refused('400', [400, 'E011003'], upload, Array(1001).fill(item('b')));
}

async function keys(level, { owner, fetch }) {
  const upload = `upload${level}ApiKey`;
  await sdk.ok('stored', upload, 'weather', owner, `key-of-${owner}`);
  if (level === 'User') {
    await sdk.ok('in a tenant', upload, 'weather', owner, 'key-in-t1', 't1');
    const there = await sdk.ok(null, fetch, 'weather', owner, 't1');
    assert.equal(there.accessToken, 'key-in-t1');
  }
  await sdk.refused('400', [400, 'E011002'], upload, 'weather', owner, '');
  await sdk.refused('400', [400, 'E011003'], upload, 'demo', owner, 'k');
  await sdk.refused('404', [404, 'S000404'], upload, 'none', owner, 'k');
}

async function fetches(own) {
  const ada = await own.ok(null, 'fetchToken', 'demo', 'ada');
  assert.equal(ada.tokenSub, 'ada');
  assert.ok(await ask('is_live', { token: ada.accessToken }));
  for (const [name, owner] of Object.entries(FETCHES)) {
    const from = (app, whose, options) => fetching(name, app, whose, options);
    const token = await own.ok('an OAuth token', name, ...from('demo', owner));
    assert.ok(await ask('is_live', { token: token.accessToken }));
    assert.ok(token.hasRefreshToken && !('refreshToken' in token));
    const key = await own.ok('an API key', name, ...from('weather', owner));
    assert.deepEqual([key.accessToken, key.scopes], [`key-of-${owner}`, []]);
    assert.ok(!('accessTokenExpiry' in key) && !key.hasRefreshToken);
    // One that is just refreshed is not refreshed again, whoever asks for it.
    await ask('advance', { seconds: 60 });
    const forced = { forceRefresh: true, withRefreshToken: true };
    const newer = await own.ok('refreshed', name, ...from('demo', owner, forced));
    assert.notEqual(newer.accessToken, token.accessToken);
    assert.ok(newer.refreshToken && (await ask('is_live', { token: newer.accessToken })));
    await own.refused('400', [400, 'E011002'], name, ...from('demo', undefined));
    await own.refused('400', [400, 'E011003'], name, ...from('a/b', owner));
    await own.refused('404 nothing stored', NO_TOKEN, name, ...from('demo', 'nobody'));
    await own.refused('404 no app', [404, 'S000404'], name, ...from('none', owner));
  }
}

// A link for a tenant, with what is presented in the place of a person's token.
async function links() {
  const tenant = { tenantId: 't1', tenantLevel: true, scopes: [SCOPE] };
  const { url, code } = await sdk.ok('a link', CONNECT, 'demo', tenant, settings.key);
  assert.ok(url.startsWith(`${settings.url}/c/`) && /^[0-9]{6}$/.test(code), `${url} ${code}`);
  await sdk.refused('400', [400, 'E011002'], CONNECT, 'demo', {}, settings.key);
  await sdk.refused('404', [404, 'S000404'], CONNECT, 'none', tenant, settings.key);
  await sdk.refused('401', [401, 'S000401'], CONNECT, 'demo', tenant, wrongKey);
  await sdk.refused('401', [401, 'S000401'], CONNECT, 'demo', tenant);
  await sdk.refused('403', [403, 'S000403'], CONNECT, 'demo', tenant, settings.powerless);
}

// Grants that are gone, and a provider that is down: both when a refresh is due.
async function trouble() {
  await ask('revoke', { user: 'gone' });
  await ask('advance', { seconds: 7200 });
  for (const own of [sdk, byToken]) {
    for (const name of Object.keys(FETCHES)) {
      const dead = fetching(name, 'demo', 'gone');
      const { errorMessage } = await own.refused('404 dead connection', NO_TOKEN, name, ...dead);
      assert.ok(errorMessage.includes('connect again'), errorMessage);
    }
  }
  await ask('down');
  const down = [502, 'S000502'];
  for (const own of [sdk, byToken]) {
    for (const name of Object.keys(FETCHES)) {
      await own.refused('502', down, name, ...fetching(name, 'demo', 'stale'));
    }
  }
  for (const [level, { id }] of Object.entries(LEVELS)) {
    const tried = { appId: 'demo', [id]: 'x', refreshToken: 'any', verifyRefresh: true };
    await sdk.refused('502', down, `upload${level}Token`, tried);
  }
  await ask('up');
  await ask('advance', { seconds: 7200 });
  for (const name of Object.keys(FETCHES)) {
    await sdk.ok(null, name, ...fetching(name, 'demo', 'stale'));
  }
}

async function listsAndDeletions() {
  const listed = 'listAppsWithUserToken';
  assert.deepEqual(await sdk.ok('of a user', listed, 'u1'), ['demo', 'weather']);
  assert.deepEqual(await sdk.ok('of a user in a tenant', listed, 'member', 't1'), ['demo']);
  assert.deepEqual(await sdk.ok(null, listed, 'gone'), []);
  const bad = [400, 'E011002'];
  await sdk.refused('400', bad, listed, undefined);
  await sdk.refused('400', bad, 'deleteTokenById', undefined);
  await sdk.refused('400', bad, 'deleteUserTokens');
  await sdk.ok('by both', 'deleteUserTokens', 'demo', 'u1');
  assert.deepEqual(await sdk.ok(null, listed, 'u1'), ['weather']);
  await sdk.ok('of a user', 'deleteUserTokens', undefined, 'u1');
  assert.deepEqual(await sdk.ok(null, listed, 'u1'), []);
  for (const [app, what] of [['demo', 'an OAuth token'], ['weather', 'an API key']]) {
    const { id } = await sdk.ok(null, 'fetchTenantToken', app, 't1');
    await sdk.ok(what, 'deleteTokenById', id);
    await sdk.refused('404', NO_TOKEN, 'deleteTokenById', id);
    await sdk.refused('404 nothing stored', NO_TOKEN, 'fetchTenantToken', app, 't1');
  }
  await sdk.ok('of an app', 'deleteUserTokens', 'demo');
  await sdk.refused('404 nothing stored', NO_TOKEN, 'fetchToken', 'demo', 'ada');
  assert.ok((await ask('revocations')) > 0, 'what is deleted is revoked at the provider');
}

// A call of every function, for where its arguments are not what matters.
function usual() {
  const item = { appId: 'demo', accessToken: 'a' };
  const calls = Object.entries(FETCHES).map(([name, owner]) => [
    name, fetching(name, 'demo', owner),
  ]);
  return {
    ...Object.fromEntries(calls),
    createApplication: [oauth({ id: 'another' })],
    createApplicationByTemplate: [{ templateId: 'hubspot', clientId: 'c' }],
    updateApplication: [oauth({ id: 'demo' })],
    deleteApplication: ['weather'],
    loadApplication: ['demo'],
    loadAllApplications: [],
    deleteUserTokens: ['demo', 'u1'],
    deleteTokenById: [`tok_${'0'.repeat(32)}`],
    listAppsWithUserToken: ['u1'],
    uploadUserApiKey: ['weather', 'u1', 'k'],
    uploadTenantApiKey: ['weather', 't1', 'k'],
    uploadUserToken: [{ ...item, userId: 'u1' }],
    uploadTenantToken: [{ ...item, tenantId: 't1' }],
    batchUploadUserTokens: [[{ ...item, userId: 'u1' }]],
    batchUploadTenantTokens: [[{ ...item, tenantId: 't1' }]],
  };
}

async function keysThatMayNot() {
  for (const [name, args] of Object.entries(usual())) {
    await wrong.refused('401', [401, 'S000401'], name, ...args);
    if (name.startsWith('batch')) {
      // Refused item by item, as a batch is.
      const { failures } = await bare.ok('403', name, ...args);
      assert.deepEqual(failures.map((one) => one.errorCode), ['E152110']);
    } else {
      await bare.refused('403', [403, 'S000403'], name, ...args);
    }
  }
  for (const [name, owner] of Object.entries(FETCHES)) {
    const args = fetching(name, 'demo', owner);
    await wrongToken.refused('401', [401, 'S000401'], name, ...args);
    await bareToken.refused('403', [403, 'S000403'], name, ...args);
  }
}

async function locked() {
  await ask('lock');
  for (const [name, args] of Object.entries(usual())) await sdk.later(name, ...args);
  await sdk.later(CONNECT, 'demo', { tenantId: 't1', tenantLevel: true }, settings.key);
  for (const [name, owner] of Object.entries(FETCHES)) {
    await byToken.later(name, ...fetching(name, 'demo', owner));
  }
}

const names = Object.keys(sdk.outbound);
say({ functions: names.concat(Object.keys(FETCHES).map((name) => `by_token.${name}`)) });
await made();
await apps();
for (const [level, words] of Object.entries(LEVELS)) {
  await uploads(level, words);
  await batches(level, words);
  await keys(level, words);
}
await links();
await fetches(sdk);
await fetches(byToken);
await trouble();
await listsAndDeletions();
await keysThatMayNot();
await locked();
input.close();
